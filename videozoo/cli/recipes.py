"""List the papers' settings that come with the package, with the figures that the papers report.

`videozoo fit --config NAME` trains one. Figures are *reported*, by the papers' authors on their machines; ours are in
`videozoo list`, as *measured*.
"""

import argparse
import json
from fnmatch import fnmatchcase
from typing import Any

from videozoo.cli.recipe_files import list_recipes, read_recipe
from videozoo.errors import UnknownNameError

# The documents whose settings these are, and the networks that they build on.
PAPERS = {
    "pbnet": "Huang et al., Principal Backpropagation Networks",
    "datp": "Song et al., Deep Adaptive Temporal Pooling",
    "full_video": "Liu et al., No frame left behind",
    "thesis": "Huang, Spatio-Temporal Modeling for Action Recognition in Videos",
    "tvnet": "Fan et al., End-to-End Learning of Motion Representation",
    "TSM": "Lin et al., Temporal Shift Module",
    "X3D": "Feichtenhofer, X3D",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo recipes`."""
    parser.add_argument("pattern", nargs="?", default="*", help="names to list, as in 'bqn/*'")
    parser.add_argument("--format", choices=("table", "markdown", "json"), default="table", help="of what is printed")


def run(arguments: argparse.Namespace) -> int:
    """Print one line a recipe."""
    rows = [row_of(name) for name in list_recipes() if fnmatchcase(name, arguments.pattern)]
    if not rows:
        raise UnknownNameError("recipe", arguments.pattern, list_recipes())
    if arguments.format == "json":
        print(json.dumps(rows, indent=1))
    elif arguments.format == "markdown":
        print(to_markdown(rows), end="")
    else:
        from rich.table import Table

        from videozoo.cli.console import table_console

        table = Table("recipe", "setting", "reported", "source", box=None)
        for row in rows:
            table.add_row(row["recipe"], row["title"], figures(row["reported"]), source(row))
        table_console().print(table)
    return 0


def row_of(name: str) -> dict[str, Any]:
    """What a recipe says of itself."""
    recipe = read_recipe(name)
    return {
        "recipe": name,
        "title": recipe.get("title", ""),
        "paper": PAPERS[recipe["paper"]],
        "reported": recipe.get("reported", []),
        "fuse": recipe.get("fuse", {}),
        "notes": recipe.get("notes", ""),
    }


def figures(reported: list[dict[str, Any]]) -> str:
    """The figures with what was measured and how."""
    return "; ".join(
        f"{entry['value']:g} {entry.get('metric', 'top1')}" + (f" ({entry['note']})" if "note" in entry else "")
        for entry in reported
    )


def source(row: dict[str, Any]) -> str:
    """The paper, and the tables that the figures are from."""
    tables = sorted({entry["table"].partition(".")[2] for entry in row["reported"]})
    return f"{row['paper']}, table {' and '.join(tables)}" if tables else str(row["paper"])


def to_markdown(rows: list[dict[str, Any]]) -> str:
    """A table for a page."""
    lines = ["| recipe | setting | reported | source |", "|---|---|---|---|"]
    lines += [
        f"| {row['recipe']} | {row['title']} | {figures(row['reported'])} | {source(row)} |".replace("  ", " ")
        for row in rows
    ]
    return "\n".join(lines) + "\n"
