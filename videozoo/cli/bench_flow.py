"""Measure optical flow: its error on the Middlebury pairs (TVNet, table 1), or with --speed its time and memory.

Measured stands beside reported. TVNet's rows: as it is (none), with the initial flow trained (u0), with the kernels
too (all). The rows named TV-L1 are OpenCV's solver with the same scales, warps and iterations, when installed.
"""

import argparse
import json
from datetime import date
from pathlib import Path
from typing import Any

from videozoo.errors import SettingError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo bench flow`."""
    parser.add_argument("folder", nargs="?", type=Path, help="the Middlebury pairs, a folder a sequence")
    parser.add_argument("--train", nargs="+", choices=("none", "u0", "all"), default=["none"], help="TVNet's rows")
    parser.add_argument("--nets", nargs="+", help="10, 30, 50, 3-1-10, 1-3-10, or other S-W-I (default: the paper's)")
    parser.add_argument("--steps", type=int, default=3000, help="of training, at most, a row")
    parser.add_argument("--seconds", type=float, default=600, help="of training, at most, a row")
    parser.add_argument("--rate", type=float, default=0.05, help="learning rate")
    parser.add_argument("--optimizer", choices=("adam", "sgd"), default="adam")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, help="threads of torch and OpenCV")
    parser.add_argument("--out", type=Path, help="write the results as JSON, and errors also as FILE.md")
    parser.add_argument("--speed", action="store_true", help="time and memory instead of errors")
    parser.add_argument("--rounds", type=int, default=9, help="of --speed")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="of --speed; cpu on a busy machine")


def run(arguments: argparse.Namespace) -> int:
    """Print the table and write the results."""
    import torch

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.speed:
        from videozoo.cli.bench_flow_speed import run_speed

        results = run_speed(arguments)
    elif arguments.folder is None:
        raise SettingError("bench flow needs the folder of the Middlebury pairs, or --speed")
    else:
        results = _run_errors(arguments)
    if arguments.out:
        arguments.out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
        if not arguments.speed:
            from videozoo.evaluation.flow_table import flow_table

            arguments.out.with_suffix(".md").write_text(flow_table(results), encoding="utf-8")
    return 0


def _run_errors(arguments: argparse.Namespace) -> dict[str, Any]:
    from rich.table import Table

    from videozoo.cli.bench_flow_errors import opencv_rows, tvnet_rows, zero_row
    from videozoo.cli.console import table_console
    from videozoo.data.middlebury import read_pairs
    from videozoo.evaluation.benchmark import machine_name
    from videozoo.evaluation.reported_flow import SOURCE

    pairs = read_pairs(arguments.folder)
    rows = [zero_row(pairs), *opencv_rows(pairs)]
    for train in arguments.train:
        rows += tvnet_rows(pairs, train, arguments)
    columns = ("method", "training", "steps", "measured EPE", "reported EPE", *(pair.name for pair in pairs))
    table = Table(*columns, box=None)
    for row in rows:
        by_pair = [f"{error:.2f}" for error in row["pairs"].values()]
        reported = "" if row["reported"] is None else f"{row['reported']:.2f}"
        table.add_row(row["method"], row["training"], str(row["steps"]), f"{row['measured']:.3f}", reported, *by_pair)
    table_console().print(table)
    unit = "pixels, mean end-point error over known pixels, mean over pairs"
    return {
        "unit": unit,
        "reported": SOURCE,
        "training": {name: getattr(arguments, name) for name in ("optimizer", "rate", "steps", "seconds")},
        "machine": machine_name(),
        "date": date.today().isoformat(),
        "rows": rows,
    }
