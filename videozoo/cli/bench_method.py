"""Compare what a method costs with its plain form, in one run: time as ratios, memory in bytes.

Rounds of all candidates are interleaved, so that a change of the machine's speed hits all alike. On a machine that
does other things as well, `--clock cpu` counts this process's own computing time.
"""

import argparse
import os
import sys
from importlib import import_module

# Method -> file in this folder with ``compare(arguments) -> what to print, one after the other``.
BENCHES: dict[str, str] = {
    "datp": "bench_frames",
    "fullvideo": "bench_frames",
    "pbnet": "bench_frames",
    "rnl": "bench_rnl",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo bench method`."""
    parser.add_argument("method", choices=sorted(BENCHES))
    parser.add_argument("--backbone", default=None, help="default: the one of the method's paper")
    parser.add_argument("--batch", type=int, default=1, help="clips a step")
    parser.add_argument("--frames", type=int, default=None, help="frames a clip (default: the backbone's own)")
    parser.add_argument("--size", type=int, default=None, help="pixels a side (default: the backbone's own)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--threads", type=int, default=None, help="threads of torch (default: torch's own choice)")


def run(arguments: argparse.Namespace) -> int:
    """Print the method's tables."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler that counts memory would report each start

    import torch
    from rich.console import Console

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    console = Console(file=sys.stdout, soft_wrap=True)
    for part in import_module(f"videozoo.cli.{BENCHES[arguments.method]}").compare(arguments):
        console.print(part)
    return 0
