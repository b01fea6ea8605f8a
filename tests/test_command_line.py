"""The command as a whole: what it prints, what it returns, and what it does not import."""

import argparse
import subprocess
import sys

import pytest

import videozoo
from videozoo.cli import VERBS, main
from videozoo.cli.settings import add_setting_option, parse_setting
from videozoo.errors import SettingError


def test_version_and_overview(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"videozoo {videozoo.__version__}"
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    for verb in VERBS:
        line = next(line for line in printed.splitlines() if line.split()[: len(verb)] == list(verb))
        assert line.strip() != " ".join(verb), "a verb without a line of help"
    assert main(["no-such-verb"]) == 2
    assert "unknown verb 'no-such-verb'" in capsys.readouterr().err
    assert main(["bench"]) == 2


@pytest.mark.parametrize("verb", list(VERBS), ids=" ".join)
def test_every_verb_has_help(verb, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*verb, "--help"])
    assert stop.value.code == 0
    assert "usage: videozoo" in capsys.readouterr().out


@pytest.mark.parametrize("statement", ["import videozoo", "from videozoo.cli import main; main(['list'])"])
def test_light_commands_do_not_import_torch(statement):
    program = f"import sys; {statement}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], stdout=subprocess.DEVNULL).returncode == 0


def test_settings_given_several_times_add_up():
    parser = argparse.ArgumentParser()
    add_setting_option(parser, "--set", "settings")
    for words in (["--set", "a=1", "b=[2, x]"], ["--set", "a=1", "--set", "b=[2, x]"]):
        assert dict(map(parse_setting, parser.parse_args(words).set)) == {"a": 1, "b": [2, "x"]}
    assert parser.parse_args([]).set == []
    with pytest.raises(SettingError, match="--set 'a': must be NAME=VALUE"):
        parse_setting("a")
