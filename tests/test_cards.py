"""Model cards: those under version control are what publish writes now, and they say what a visitor asks first."""

from pathlib import Path

import pytest
import yaml

from videozoo.cli import main
from videozoo.hub.card import card_body
from videozoo.hub.manifest import embedded_models, read_manifest
from videozoo.hub.publish import published_card

CARDS = Path(__file__).parents[1] / "docs" / "cards"
ROWS = {row.name: row for row in read_manifest().checkpoints}


@pytest.mark.parametrize("name", embedded_models())
def test_card_under_version_control_is_what_publish_writes(name):
    found, card = published_card(name, f"videozoo/{name}")
    assert found == name
    kept = (CARDS / f"{name}.md").read_text(encoding="utf-8")
    assert card == kept, "write them anew: videozoo card --out docs/cards"


def test_every_card_belongs_to_a_checkpoint_of_the_package():
    assert {path.stem for path in CARDS.glob("*.md")} - {"index"} == set(embedded_models())


@pytest.mark.parametrize("name", embedded_models())
def test_card_says_what_for_how_good_and_under_which_terms(name):
    _, header, body = (CARDS / f"{name}.md").read_text(encoding="utf-8").split("---\n", 2)
    metadata, row = yaml.safe_load(header), ROWS[name]
    assert metadata["license"] == row.licence.weights.lower()
    assert metadata["datasets"] == [row.dataset]
    first = metadata["model-index"][0]["results"][0]
    assert first["metrics"][0]["value"] == row.results[0].top1
    assert f'load_model("videozoo/{name}@v1")' in body
    assert f'load_model("{name}")' in body
    assert "Measured with videozoo:" in body
    assert "Reported by others:" not in body
    for result in row.results:
        assert f"{result.top1:.2f} | - | {result.n} | `{result.command}` | {result.date}" in body
        assert result.note is None or result.note in body
    for heading in ("Use", "Input", "Results", "Intended use and limits", "Origin and licence", "Classes"):
        assert f"\n## {heading}\n" in body
    assert row.file.sha256 in body
    assert "..." not in body.split("## Classes")[1]


def test_body_of_every_checkpoint_can_be_written():
    for row in ROWS.values():
        body = card_body(row, row.name, None)
        assert body.startswith(f"# {row.name}\n\n")
        assert ("Reported by others" in body) == any(result.kind == "reported" for result in row.results)
        assert ("Measured with" in body) == any(result.kind == "measured" for result in row.results)


def test_verb_writes_the_cards_asked_for(tmp_path, capsys):
    name = "x3d_tiny.moving_digits"
    assert main(["card", name, "--out", str(tmp_path / "cards"), "--owner", "somebody"]) == 0
    assert [path.name for path in (tmp_path / "cards").iterdir()] == [f"{name}.md"]
    assert f'load_model("somebody/{name}@v1")' in (tmp_path / "cards" / f"{name}.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out.strip().endswith(f"{name}.md")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["no_such.checkpoint"], "no_such.checkpoint"),
        (["x3d_tiny.moving_digits", "--owner", "a b"], "must be OWNER/NAME"),
    ],
)
def test_wrong_input_is_one_line_and_writes_nothing(tmp_path, capsys, words, told):
    assert main(["card", *words, "--out", str(tmp_path / "cards")]) == 2
    message = capsys.readouterr().err
    assert told in message
    assert message.count("\n") == 1
    assert not (tmp_path / "cards").exists()
