"""List checkpoints: what there is, what was reported and what was measured.

Examples: `videozoo list`, `videozoo list 'x3d*' --status released`, `videozoo list --architectures 'rnl*'`.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from videozoo.cli.console import table_console
from videozoo.errors import UnknownNameError

if TYPE_CHECKING:
    from videozoo.hub.schema import Checkpoint


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo list`."""
    parser.add_argument("pattern", nargs="?", default="*", help="names to list, such as 'x3d*'")
    parser.add_argument("--dataset")
    parser.add_argument("--method")
    parser.add_argument("--status", help="planned, converted, released or withdrawn (default: all but withdrawn)")
    parser.add_argument("--format", choices=("table", "markdown", "json", "names"), default="table")
    parser.add_argument("--architectures", action="store_true", help="list what create_model takes instead")
    parser.add_argument("--manifest", metavar="FILE", help="another manifest than this package's; checks it first")


def run(arguments: argparse.Namespace) -> int:
    """Print the chosen rows."""
    from videozoo.hub.manifest import list_models, read_manifest, select_rows

    if arguments.architectures:
        print("\n".join(list_models(arguments.pattern, pretrained=False, method=arguments.method)))
        return 0
    manifest = read_manifest(arguments.manifest)
    rows = select_rows(
        manifest,
        arguments.pattern,
        dataset=arguments.dataset,
        method=arguments.method,
        status=arguments.status,
    )
    if not rows and arguments.pattern != "*":
        raise UnknownNameError("checkpoint", arguments.pattern, (row.name for row in manifest.checkpoints))
    WRITERS[arguments.format](rows)
    return 0


def write_table(rows: "Sequence[Checkpoint]") -> None:
    """For people."""
    from rich.table import Table

    from videozoo.hub.tables import HEADER, table_rows

    table = Table(box=None)
    for title in HEADER:
        table.add_column(title, no_wrap=title in ("checkpoint", "status"))
    for cells in table_rows(rows):
        table.add_row(*cells)
    # What is piped somewhere has no width to keep.
    table_console().print(table)


def write_markdown(rows: "Sequence[Checkpoint]") -> None:
    """As README shows it."""
    from videozoo.hub.tables import markdown_table

    sys.stdout.write(markdown_table(rows))


def write_json(rows: "Sequence[Checkpoint]") -> None:
    """The rows themselves."""
    print(json.dumps([row.to_dict() for row in rows], indent=2, ensure_ascii=False))


def write_names(rows: "Sequence[Checkpoint]") -> None:
    """One name a line."""
    print("\n".join(row.name for row in rows))


WRITERS = {"table": write_table, "markdown": write_markdown, "json": write_json, "names": write_names}
