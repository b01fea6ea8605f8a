"""Fuse the scores of several networks for the same videos, such as an RGB and a flow network.

Example: `videozoo fuse rgb.csv flow.csv --weights 1 2 --output fused.csv`; the files are those of
`videozoo predict --scores`.
"""

import argparse

from videozoo.cli.console import table_console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo fuse`."""
    parser.add_argument("tables", nargs="+", metavar="CSV", help="scores, as `videozoo predict --scores` writes them")
    parser.add_argument("--weights", type=float, nargs="+", help="one a table (without: all equal)")
    parser.add_argument(
        "--space",
        choices=("logits", "probabilities", "unit"),
        default="logits",
        help="averaged before softmax, after it, or divided by their length, for scores that are no network's",
    )
    parser.add_argument("--output", metavar="FILE", help="write the fused scores as csv")


def run(arguments: argparse.Namespace) -> int:
    """Print the fused answers and write their scores."""
    from rich.table import Table

    from videozoo.inference.fuse import fuse_tables, read_scores, write_scores

    tables = [read_scores(path) for path in arguments.tables]
    weights = arguments.weights or [1.0] * len(tables)
    fused = fuse_tables(tables, weights, arguments.space)
    best = fused.scores.softmax(dim=-1).max(dim=-1)
    table = Table("file", "answer", "probability", box=None)
    for file, k, probability in zip(fused.files, best.indices.tolist(), best.values.tolist(), strict=True):
        table.add_row(file, fused.classes[k], f"{probability:.3f}")
    table_console().print(table)
    if arguments.output:
        write_scores(fused, arguments.output)
    return 0
