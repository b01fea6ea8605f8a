"""Draw the optical flow of a video in the Middlebury colours, its frames above it.

FILE is a video, a folder of pictures, flow that `videozoo flow extract` stored, or a .flo file. With a model that
begins with TVNet, its flow is drawn too, before training and as it is.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videozoo.errors import SettingError

if TYPE_CHECKING:
    from torch import Tensor

    from videozoo.representations.tvnet import TVNet


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo show flow`."""
    parser.add_argument("file", type=Path, help="a video, a folder of pictures, stored flow, or a .flo file")
    parser.add_argument("out", type=Path, help="picture to write, .png or .jpg")
    parser.add_argument("--model", help="a checkpoint whose network begins with TVNet, or such an architecture")
    parser.add_argument("--solver", choices=("auto", "opencv", "tvnet"), default="auto", help="of the row TV-L1")
    parser.add_argument("--pairs", type=int, default=5, help="places in the video")
    parser.add_argument("--short-side", type=int, default=240, help="pixels to which larger frames are scaled")
    parser.add_argument("--bound", type=float, default=20.0, help="pixels that stored flow was clipped to")


def run(arguments: argparse.Namespace) -> int:
    """Write the picture."""
    for name, least in (("pairs", 1), ("short_side", 16)):
        if getattr(arguments, name) < least:
            raise SettingError(f"--{name.replace('_', '-')} {getattr(arguments, name)}: must be at least {least}")

    from videozoo.visualization.flow import flow_sheet
    from videozoo.visualization.images import save_picture

    frames, flows = _stored(arguments) or _computed(arguments)
    title = arguments.file.name
    shown = None if frames is None else (f"{title}, {len(frames)} places in the order of time", frames)
    save_picture(flow_sheet(flows, shown), arguments.out)
    print(f"picture: {arguments.out}")
    return 0


def _stored(arguments: argparse.Namespace) -> "tuple[None, dict[str, Tensor]] | None":
    """Flow that only needs to be read, if the file holds such."""
    from videozoo.data.flow_files import read_flo
    from videozoo.data.flow_images import decode_flow
    from videozoo.data.flow_source import open_flow
    from videozoo.visualization.images import spread

    if arguments.file.suffix == ".flo":
        return None, {arguments.file.name: read_flo(arguments.file)[None]}
    if not arguments.file.is_dir() or not any(arguments.file.glob("flow_x_*.jpg")):
        return None
    with open_flow(arguments.file) as source:
        fields = source.frames(spread(source.frame_count, arguments.pairs))
    return None, {f"{arguments.file.name}, stored": decode_flow(fields, arguments.bound)}


def _computed(arguments: argparse.Namespace) -> "tuple[Tensor, dict[str, Tensor]]":
    """First frames of the pairs, uint8 (N, 3, H, W), and their flow (N, 2, H, W) by title."""
    import torch

    from videozoo.data.flow_solvers import create_solver, resolve_solver
    from videozoo.data.frame_source import open_video
    from videozoo.data.transforms import resize_short_side
    from videozoo.visualization.images import spread

    solver = resolve_solver(arguments.solver, "cpu")
    with open_video(arguments.file) as source:
        if source.frame_count < 2:
            raise SettingError(f"{arguments.file}: has one frame, flow needs two")
        places = spread(source.frame_count - 1, arguments.pairs)
        frames = source.frames([place + k for place in places for k in range(2)])
    if min(frames.shape[-2:]) > arguments.short_side:
        frames = resize_short_side(frames, arguments.short_side, antialias=True)
    pairs = frames.unflatten(0, (-1, 2))
    solve = create_solver(solver)
    flows = {f"TV-L1 ({solver})": torch.cat([solve(pair) for pair in pairs])}
    if arguments.model:
        for title, net in _nets(arguments.model).items():
            with torch.inference_mode():
                flows[title] = net.flow(pairs[:, 0].float(), pairs[:, 1].float())
    return pairs[:, 0], flows


def _nets(name: str) -> "dict[str, TVNet]":
    """The flow layers of a model, and those it began with."""
    from videozoo.cli.models import load_or_create
    from videozoo.representations.tvnet import TVNet

    model: Any = load_or_create(name)
    trained = next((module for module in model.modules() if isinstance(module, TVNet)), None)
    if trained is None:
        raise SettingError(f"{name}: has no flow layers, take a model whose name begins with tvnet")
    depth = (trained.scales, trained.warps, trained.iterations)
    start = TVNet(
        *depth,
        trainable="nothing",
        border=trained.border,
        preparation=trained.preparation,
        options=trained.options,
    )
    title = "TVNet-" + "-".join(map(str, depth))
    return {f"{title} before training": start, f"{title} of {name}": trained.eval()}
