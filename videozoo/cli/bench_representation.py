"""Time every representation against the backbone behind it, and a Busy-Quiet Net against its single backbone.

All are run on as many frames as make one clip of the backbone, in interleaved rounds of one process: the ratios are
what to read. On a machine that does other things as well, `--clock cpu` counts this process's own computing time.
"""

import argparse
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn

    from videozoo.evaluation.benchmark import Timing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo bench representation`."""
    parser.add_argument("--backbone", default="tsm_resnet50", help="what the representations are measured against")
    parser.add_argument("--size", type=int, default=224, help="pixels a side")
    parser.add_argument("--pair", default="x3d_m", help="backbone of the Busy-Quiet Net, Busy at 256 and Quiet at 160")
    parser.add_argument("--batch", type=int, default=1, help="clips at once")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--threads", type=int, default=None, help="threads of torch (default: torch's own choice)")
    parser.add_argument("--optimized", action="store_true", help="networks as prediction runs them: folded norms")


def run(arguments: argparse.Namespace) -> int:
    """Print both tables."""
    import torch
    from rich.console import Console

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    console = Console(file=sys.stdout, soft_wrap=True)
    console.print(
        f"forward, float32, batch {arguments.batch}, {torch.get_num_threads()} threads, {arguments.clock} clock, "
        f"{arguments.rounds} rounds"
    )
    console.print(representation_table(arguments))
    console.print(pair_table(arguments))
    return 0


def representation_table(arguments: argparse.Namespace) -> Any:
    """Milliseconds a clip and a frame of every registered representation, and its share of the backbone's time."""
    import torch
    from rich.table import Table

    from videozoo.backbones.create import create_backbone
    from videozoo.representations import REPRESENTATIONS

    backbone = create_backbone(arguments.backbone, 174)
    pictures, size = backbone.clip_spec.frames, arguments.size
    candidates: dict[str, Callable[[], object]] = {}
    candidates[f"{arguments.backbone} on {pictures} frames"] = forward(backbone, pictures, size, arguments)
    frames = [pictures]
    for name, build in REPRESENTATIONS.items():
        module: Any = build()
        segments = -(-pictures // module.out_frames)
        frames.append(segments * module.frames_per_segment)
        label = f"{name}, {frames[-1]} frames to {segments * module.out_frames}"
        candidates[label] = forward(module, frames[-1], size, arguments)
    with torch.inference_mode():
        timings = measured(candidates, arguments)
    table = Table(box=None)
    for heading in (f"at {size} pixels", "ms a clip", "ms a frame", "of backbone"):
        table.add_column(heading, no_wrap=True)
    for timing, count in zip(timings, frames, strict=True):
        milliseconds = 1000 * timing.median
        table.add_row(timing.name, f"{milliseconds:.1f}", f"{milliseconds / count:.2f}", f"{timing.ratio:.3f}")
    return table


def pair_table(arguments: argparse.Namespace) -> Any:
    """A Busy-Quiet Net against its backbone on as many pictures of the Busy pathway's size."""
    import torch
    from rich.table import Table

    from videozoo import create_model

    single, pair = create_model(arguments.pair, 174), create_model(f"bqn_{arguments.pair}", 174)
    size, pictures = pair.clip_spec.size, pair.clip_spec.segments
    with torch.inference_mode():
        timings = measured(
            {
                f"{arguments.pair} on {pictures} frames": forward(single.network, pictures, size, arguments),
                f"bqn_{arguments.pair} on {pair.clip_spec.frames}": forward(
                    pair.network, pair.clip_spec.frames, size, arguments
                ),
            },
            arguments,
        )
    table = Table(f"at {size} pixels", "ms a clip", "ratio", box=None)
    for timing in timings:
        table.add_row(timing.name, f"{1000 * timing.median:.1f}", f"{timing.ratio:.2f}")
    return table


def forward(module: "nn.Module", frames: int, size: int, arguments: argparse.Namespace) -> Callable[[], "Tensor"]:
    """One forward pass on a clip of its own."""
    import torch

    from videozoo.inference.optimize import optimize_for_inference, to_channels_last

    clip = torch.randn(arguments.batch, frames, 3, size, size)
    if arguments.optimized:
        module, clip = optimize_for_inference(module), to_channels_last(clip)
    module = module.eval()
    return lambda: module(clip)


def measured(candidates: dict[str, Callable[[], object]], arguments: argparse.Namespace) -> list["Timing"]:
    """The rounds of all candidates."""
    from videozoo.evaluation.benchmark import compare

    return compare(candidates, rounds=arguments.rounds, clock=arguments.clock)
