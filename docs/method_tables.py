"""Tables of the method pages, made at every build from the recipes, the manifest and the experiments' results.

In a page, ``{settings} NAME`` shows the recipes of a method, ``{results} NAME`` what is reported and what was measured;
NAME is an entry of METHODS, several are written apart.
"""

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from videozoo.cli.recipe_files import list_recipes, read_recipe
from videozoo.cli.recipes import figures, row_of, source
from videozoo.hub.manifest import read_manifest
from videozoo.hub.tables import markdown_table
from videozoo.methods.create import parse_architecture

RESULTS = Path(__file__).parent / "results"
# Settings that every model has; the table has columns of their own for them, or leaves them to the recipe.
COMMON = ("arch", "num_classes", "optimization", "pretrained", "dropout", "in_channels", "multilabel")


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directives, and rebuild a page when its data changed."""
    for name, table in TABLES.items():
        app.add_directive(name, type(f"{name.title()}Directive", (TableDirective,), {"table": staticmethod(table)}))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class TableDirective(SphinxDirective):
    """Markdown that a function makes of the names of methods, in the place of the directive."""

    required_arguments = 1
    optional_arguments = 8

    def run(self) -> list[nodes.Node]:
        """Parse what the function says, as if it stood in the page."""
        for data in (Path(__file__), *RESULTS.glob("*.json")):
            self.env.note_dependency(str(data))
        container = nodes.container()
        lines = type(self).table(self.arguments).splitlines()
        self.state.nested_parse(StringList(lines, self.get_source_info()[0]), self.content_offset, container)
        return container.children


def settings(methods: Sequence[str]) -> str:
    """The recipes without their variants: what the method itself sets, how it is trained, and what they note."""
    rows: list[tuple[str, ...]] = []
    notes: dict[str, list[str]] = {}
    for name in recipes_of(methods):
        if ":" not in name:
            recipe = read_recipe(name)
            model = recipe["model"]
            own = {key: value for key, value in model.items() if key not in COMMON}
            rows.append((f"`{name}`", model["arch"], _pairs(own), _training(recipe), _pairs(recipe.get("clip", {}))))
            if "notes" in recipe:
                notes.setdefault(" ".join(recipe["notes"].split()), []).append(f"`{name}`")
    listed = "\n".join(f"- {', '.join(names)}: {text}." for text, names in notes.items())
    return _table(("recipe", "architecture", "own settings", "training", "clip"), rows) + "\n" + listed


def results(methods: Sequence[str]) -> str:
    """What the papers report, what checkpoints are worth, and the rows of our controlled experiments."""
    parts = []
    reported = [row for row in map(row_of, recipes_of(methods)) if row["reported"]]
    if reported:
        papers = list(dict.fromkeys(row["paper"] for row in reported))
        lines = [
            (
                f"`{row['recipe']}`",
                row["title"],
                figures(row["reported"]),
                source(row).removeprefix(f"{papers[0]}, ") if len(papers) == 1 else source(row),
            )
            for row in reported
        ]
        parts.append(
            f"**Reported** by the authors ({'; '.join(papers)}), on their machines; percent, top-1 unless another "
            "metric is named:\n\n" + _table(("recipe", "setting", "reported", "source"), lines)
        )
    rows = list(_experiment_rows(methods))
    if rows:
        header = ("experiment", "row", "measured top-1", "seeds", "parameters", "reported by the paper on its data")
        parts.append(
            "**Measured** here, by `videozoo reproduce EXPERIMENT`: small networks, all rows of an experiment with the "
            "same budget, mean and standard deviation over seeds. The papers' figures are from other data and larger "
            "networks, only their order compares ([what agrees and what does not](../results/README.md)):\n\n"
            + _table(header, rows)
        )
    checkpoints = [row for row in read_manifest().checkpoints if row.method in methods]
    if checkpoints:
        parts.append(
            "**Checkpoints**; *reported* figures are their makers', *measured* ones ours, by the command that "
            "`videozoo info NAME` prints:\n\n" + markdown_table(checkpoints)
        )
    return "\n\n".join(parts)


TABLES = {"settings": settings, "results": results}


def recipes_of(methods: Sequence[str]) -> list[str]:
    """Names of the recipes that train one of the methods, variants among them."""
    return [name for name, method in _method_of_recipes().items() if method in methods]


@cache
def _method_of_recipes() -> dict[str, str]:
    return {name: parse_architecture(read_recipe(name)["model"]["arch"])[0] for name in list_recipes()}


def _experiment_rows(methods: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for path in sorted(RESULTS.glob("*.json")):
        table = json.loads(path.read_text(encoding="utf-8"))
        for row in table["rows"] if "experiment" in table else ():  # others are errors of flow
            if parse_architecture(row["arch"])[0] in methods:
                spread = "" if row["top1_spread"] is None else f" ± {row['top1_spread']:.1f}"
                yield (
                    f"[{path.stem}](../results/{path.stem}.md)",
                    row["variant"],
                    f"{row['top1_mean']:.1f}{spread}",
                    str(row["runs"]),
                    f"{row['parameters'] / 1e6:.3f} M",
                    "-" if row["reported"] is None else f"{row['reported']:g}",
                )


def _training(recipe: dict[str, Any]) -> str:
    model, trainer = recipe["model"], recipe.get("trainer", {})
    optimization = dict(model.get("optimization", {}))
    told = {
        "rate": optimization.pop("learning_rate", None),
        "batch": optimization.pop("reference_batch", None),
        "decay": optimization.pop("weight_decay", None),
        "epochs": trainer.get("max_epochs"),
        "steps": trainer.get("max_steps"),
        "dropout": model.get("dropout"),
        "start": recipe.get("start") or model.get("pretrained"),
    }
    return _pairs({**{key: value for key, value in told.items() if value is not None}, **optimization})


def _pairs(values: dict[str, Any]) -> str:
    """Names and values in one line; what holds others is flattened."""
    words = []
    for key, value in values.items():
        if isinstance(value, dict):
            words.append(f"{key} ({_pairs(value)})")
        elif isinstance(value, list):
            words.append(f"{key} {', '.join(map(str, value))}")
        else:
            words.append(f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}")
    return "; ".join(words)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(cell or " " for cell in row) + " |" for row in rows)]) + "\n"
