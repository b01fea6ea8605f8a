"""The command line: one command, `videozoo`, one file a verb.

A verb's file starts with a docstring whose first line is its help text, and has ``add_arguments(parser)`` and
``run(arguments) -> exit status``; with ``PASSES_ON``, what the parser does not know is in ``arguments.passed_on``. Only
the chosen verb's file is imported, and what is slow to import (torch) is imported inside ``run``.
"""

import argparse
import ast
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from videozoo.errors import VideozooError

# Words on the command line -> file in this folder.
VERBS: dict[tuple[str, ...], str] = {
    ("bench", "data"): "bench_data",
    ("bench", "flow"): "bench_flow",
    ("bench", "gradients"): "bench_gradients",
    ("bench", "method"): "bench_method",
    ("bench", "predict"): "bench_predict",
    ("bench", "representation"): "bench_representation",
    ("bench", "train"): "bench_train",
    ("cache", "list"): "cache_list",
    ("cache", "prune"): "cache_prune",
    ("cache", "verify"): "cache_verify",
    ("card",): "card",
    ("convert",): "convert",
    ("data", "check"): "data_check",
    ("data", "shard"): "data_shard",
    ("demo",): "demo",
    ("export",): "export",
    ("fit",): "run_recipe",
    ("finetune",): "finetune",
    ("fuse",): "fuse",
    ("info",): "info",
    ("list",): "list_checkpoints",
    ("flow", "extract"): "flow_extract",
    ("make-digits",): "make_digits",
    ("predict",): "predict",
    ("publish",): "publish",
    ("recipes",): "recipes",
    ("report",): "report",
    ("reproduce",): "reproduce",
    ("serve",): "serve",
    ("show", "attention"): "show_attention",
    ("show", "busy"): "show_representation",
    ("show", "clusters"): "show_clusters",
    ("show", "dynamic"): "show_representation",
    ("show", "flow"): "show_flow",
    ("show", "gradcam"): "show_gradcam",
    ("show", "snippets"): "show_snippets",
    ("show", "squeeze"): "show_representation",
    ("show", "weights"): "show_weights",
    ("test",): "run_recipe",
    ("train-digits",): "train_digits",
    ("validate",): "run_recipe",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb. Exit status: 0 done, 1 done but some inputs failed, 2 wrong input, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    verb = next((verb for verb in sorted(VERBS, key=len, reverse=True) if tuple(words[: len(verb)]) == verb), None)
    if verb is None:
        return _overview(words)
    module = import_module(f"videozoo.cli.{VERBS[verb]}")
    parser = argparse.ArgumentParser(prog=" ".join(("videozoo", *verb)), description=module.__doc__)
    module.add_arguments(parser)
    if getattr(module, "PASSES_ON", False):
        arguments, passed_on = parser.parse_known_args(words[len(verb) :])
        arguments.passed_on = passed_on
    else:
        arguments = parser.parse_args(words[len(verb) :])
    warnings.showwarning = partial(_show_warning, set())
    try:
        return int(module.run(arguments))
    except VideozooError as error:
        print(f"videozoo: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("videozoo: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output went away (`| head`): not an error of ours
        sys.stderr.close()
        return 0
    except OSError as error:  # a folder that cannot be written, a full disk
        print(f"videozoo: {error.filename or 'file'}: {error.strerror or error}", file=sys.stderr)
        return 2


def _show_warning(
    told: set[str],
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: object = None,
) -> None:
    """One line for a warning of ours, once; what libraries say to developers stays out of the way."""
    ours = category.__module__.startswith("videozoo") or "videozoo" in Path(filename).parts
    if ours and str(message) not in told:
        told.add(str(message))
        print(f"videozoo: {message}", file=sys.stderr)


def _overview(words: Sequence[str]) -> int:
    """Print the version, the help of all verbs, or what is wrong with the first words."""
    import videozoo

    if words[:1] in (["--version"], ["-V"]):
        print(f"videozoo {videozoo.__version__}")
        return 0
    asked = not words or words[0] in ("-h", "--help")
    group = {verb: file for verb, file in VERBS.items() if verb[: len(words)] == tuple(words)}
    stream = sys.stdout if asked or group else sys.stderr
    if not asked and not group:
        print(f"videozoo: unknown verb {' '.join(words[:2])!r}", file=stream)
    print("usage: videozoo VERB ...   (videozoo VERB --help says more)\n", file=stream)
    for verb, file in (group or VERBS).items():
        print(f"  {' '.join(verb):<22} {_first_line(file)}", file=stream)
    return 0 if asked else 2


def _first_line(file: str) -> str:
    """First line of a verb's docstring, read without importing the file."""
    spec = find_spec(f"videozoo.cli.{file}")
    assert spec is not None
    assert spec.origin is not None
    return (ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or "").splitlines()[0]
