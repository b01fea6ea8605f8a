"""The rows of the flow error table: standing still, OpenCV's methods, TVNet with and without training."""

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from videozoo.cli.opencv_flow import default_methods, tv_l1
from videozoo.data.flow_solvers import has_opencv, opencv_pairwise
from videozoo.data.middlebury import FlowPair
from videozoo.errors import SettingError
from videozoo.evaluation.reported_flow import TV_L1, TVNET
from videozoo.representations.flow_losses import end_point_error
from videozoo.representations.tvnet import TVNet
from videozoo.representations.tvnet_options import Trainable, TVNetOptions
from videozoo.training.flow_training import train_on_pairs


def _row(
    method: str, errors: dict[str, float], *, training: str = "", steps: int = 0, reported: float | None = None
) -> dict[str, Any]:
    mean = sum(errors.values()) / len(errors)
    return {
        "method": method, "training": training, "steps": steps, "measured": mean, "reported": reported, "pairs": errors
    }  # fmt: skip


def _errors(pairs: list[FlowPair], solve: Callable[[Tensor], Tensor]) -> dict[str, float]:
    """End-point error of every pair; ``solve`` maps frames (2, 3, H, W) to flow (1, 2, H, W)."""
    return {pair.name: end_point_error(solve(pair.frames), pair.target[None]).item() for pair in pairs}


def zero_row(pairs: list[FlowPair]) -> dict[str, Any]:
    """The error of standing still."""
    return _row("zero flow", _errors(pairs, lambda frames: frames.new_zeros(1, 2, *frames.shape[-2:]).float()))


def opencv_rows(pairs: list[FlowPair]) -> Iterator[dict[str, Any]]:
    """TV-L1 with the paper's settings, and what people use; none where OpenCV is not installed."""
    if not has_opencv():
        print("videozoo: OpenCV's rows are left out: pip install 'videozoo[flow]'", file=sys.stderr)
        return
    for name, reported in TV_L1.items():
        method = tv_l1(*split_name(name))
        yield _row(f"TV-L1-{name} (OpenCV)", _errors(pairs, opencv_pairwise(method)), reported=reported)
    for name, method in default_methods().items():
        yield _row(f"{name} (OpenCV)", _errors(pairs, opencv_pairwise(method)))


def tvnet_rows(
    pairs: list[FlowPair], train: Literal["none", "u0", "all"], arguments: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """TVNet without training (``none``), with u0 trained, or with all of it."""
    trainable: Trainable = "nothing" if train == "none" else train
    names = arguments.nets or [*TVNET, *(["5-5-50"] if train == "none" else [])]
    height, width = (max(pair.frames.shape[axis] for pair in pairs) for axis in (2, 3))
    for name in names:
        options = TVNetOptions(reference_size=(height, width))
        net = TVNet(*split_name(name), trainable=trainable, options=options).to(arguments.device)
        history = [] if trainable == "nothing" else _train(net, pairs, arguments)
        reported = TVNET.get(name, {}).get(trainable, TV_L1.get(name) if train == "none" else None)
        label = f"TVNet-{name}" + (" (as TV-L1)" if name == "5-5-50" else "")
        errors = _errors(pairs, partial(_solve, net, arguments.device))
        yield _row(label, errors, training=train, steps=len(history), reported=reported)


def _train(net: TVNet, pairs: list[FlowPair], arguments: argparse.Namespace) -> list[float]:
    device = arguments.device
    batch = [
        (pair.frames[:1].float().to(device), pair.frames[1:].float().to(device), pair.target[None].to(device))
        for pair in pairs
    ]
    return train_on_pairs(
        net,
        batch,
        steps=arguments.steps,
        seconds=arguments.seconds,
        learning_rate=arguments.rate,
        optimizer=arguments.optimizer,
    )


@torch.inference_mode()
def _solve(net: TVNet, device: str, frames: Tensor) -> Tensor:
    first, second = frames[:, None].float().to(device)
    return net.flow(first, second).cpu()


def split_name(name: str) -> tuple[int, int, int]:
    """Scales, warps and iterations of a name such as 50 or 3-1-10."""
    try:
        numbers = [int(part) for part in name.split("-")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        return 1, 1, numbers[0]
    if len(numbers) != 3:
        raise SettingError(f"net {name!r}: must be iterations, or scales-warps-iterations, such as 50 or 3-1-10")
    return numbers[0], numbers[1], numbers[2]
