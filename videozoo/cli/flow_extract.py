"""Compute the optical flow of every video below a folder and store it as 8-bit pictures or video.

A run that was stopped goes on when started again; what is there is not done twice. TV-L1 by OpenCV where it is
installed (pip install 'videozoo[flow]'), by our own solver otherwise or on a GPU.
"""

import argparse
import sys
from pathlib import Path

from videozoo.errors import SettingError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo flow extract`."""
    parser.add_argument("root", type=Path, help="folder of videos")
    parser.add_argument("out", type=Path, help="folder of the flow, the same tree")
    parser.add_argument("--format", choices=("jpeg", "h264"), default="jpeg")
    parser.add_argument("--solver", choices=("auto", "opencv", "tvnet"), default="auto")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps: where our own solver runs")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--bound", type=float, default=20.0, help="pixels that become 0 and 255")
    parser.add_argument("--short-side", type=int, help="scale the frames so before (pixels)")
    parser.add_argument("--quality", type=int, help="JPEG 1..100 (95), H.264 constant rate factor 0..51 (12)")


def run(arguments: argparse.Namespace) -> int:
    """Extract what is left; 1 if any video failed."""
    if arguments.workers < 1:
        raise SettingError(f"--workers {arguments.workers}: must be at least 1")
    if not arguments.root.is_dir():
        raise SettingError(f"{arguments.root}: no such folder")

    from rich.console import Console
    from rich.progress import track

    from videozoo.data.flow_extraction import FlowSettings, extract, plan
    from videozoo.data.flow_solvers import resolve_solver

    quality = arguments.quality if arguments.quality is not None else {"jpeg": 95, "h264": 12}[arguments.format]
    solver = resolve_solver(arguments.solver, arguments.device)
    settings = FlowSettings(solver, arguments.format, arguments.bound, arguments.short_side, quality)
    tasks, done = plan(arguments.root, arguments.out, settings)
    errors = Console(stderr=True)
    failed = 0
    results = extract(tasks, settings, workers=arguments.workers, device=arguments.device)
    for _, error in track(
        results, total=len(tasks), description="flow", console=errors, disable=not errors.is_terminal
    ):
        if error is not None:
            failed += 1
            print(f"videozoo: {error}", file=sys.stderr)
    print(f"{solver}: {len(tasks) - failed} videos written to {arguments.out}, {done} were there, {failed} failed")
    return 1 if failed else 0
