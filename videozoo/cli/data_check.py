"""Check a data set on disk: videos and classes against the official counts, missing and unreadable files, leaks.

Examples: `videozoo data check ucf101 /data/UCF101 --set split=2`, `videozoo data check video_folder my_videos/ --read`.
Exit status 1 when something is wrong.
"""

import argparse
from typing import TYPE_CHECKING

from videozoo.cli.console import table_console
from videozoo.cli.data_sets import NAMES, add_setting_arguments, create_data

if TYPE_CHECKING:
    from videozoo.data.check import Report

SHOWN = 10  # names of broken or shared videos printed of each kind


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo data check`."""
    parser.add_argument("name", help=NAMES)
    parser.add_argument("root", help="folder of the data set")
    add_setting_arguments(parser)
    parser.add_argument("--read", action="store_true", help="also decode a frame of every video")


def run(arguments: argparse.Namespace) -> int:
    """Print the report."""
    from rich.console import Console
    from rich.progress import track

    from videozoo.clip_spec import ClipSpec
    from videozoo.data.check import check_data

    data = create_data(arguments.name, arguments.root, arguments, ClipSpec(8, 224, 256))
    console = Console(stderr=True)
    report = check_data(
        data,
        read=arguments.read,
        progress=lambda places: track(places, description="reading", console=console, disable=not console.is_terminal),
    )
    _print(report)
    return 0 if report.sound else 1


def _print(report: "Report") -> None:
    from rich.table import Table

    table = Table("part", "videos", "official", "missing", "unreadable", "without label", "empty classes", box=None)
    for part in report.parts:
        row = (part.listed, part.official or "-", part.missing, len(part.unreadable), part.unlabelled)
        table.add_row(part.name, *map(str, row), str(len(part.empty_classes)))
    table_console().print(table)
    copies = f", {len(report.copies)} more are copies" if report.copies else ""
    print(f"{report.classes} classes; {len(report.shared)} videos are in both training and test{copies}")
    problems = [problem for part in report.parts for problem in part.unreadable[:SHOWN]]
    problems += [
        f"{part.name}: no video of class {name}" for part in report.parts for name in part.empty_classes[:SHOWN]
    ]
    problems += [f"{name}: in training and test" for name in report.shared[:SHOWN]]
    problems += [f"{first} in training is {second} in test" for first, second in report.copies[:SHOWN]]
    for problem in problems:
        print(problem)
