"""Solvers that turn consecutive frames into optical flow, by name."""

import math
from collections.abc import Callable
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor

from videozoo.errors import SettingError, VideoError
from videozoo.representations.tvnet import TVNet

SolverName = Literal["auto", "opencv", "tvnet"]
Solver = Callable[[Tensor], Tensor]  # uint8 (T, 3, H, W) -> float32 (T - 1, 2, H, W) in pixels, on the CPU

SOLVERS = ("auto", "opencv", "tvnet")
SCALES, WARPS, ITERATIONS = 5, 5, 50  # what the TVNet paper calls TV-L1
COARSEST_SIDE = 12  # pixels; without a low-pass filter, smaller pictures show patterns that are not there
PAIRS_ON_GPU = 16  # solved at once


def resolve_solver(name: str, device: str) -> str:
    """What ``auto`` stands for: OpenCV's TV-L1 where it is installed and no GPU is asked for, else our own.

    Raises:
        SettingError: for an unknown name, for OpenCV on a GPU, and where OpenCV's contributed modules are missing.
    """
    if name not in SOLVERS:
        raise SettingError(f"solver {name!r}: must be one of {', '.join(SOLVERS)}")
    on_cpu = torch.device(device).type == "cpu"
    if name == "auto":
        return "opencv" if on_cpu and has_opencv() else "tvnet"
    if name == "opencv" and not on_cpu:
        raise SettingError(f"solver 'opencv' runs on the CPU only, not on {device!r}: take 'tvnet'")
    if name == "opencv" and not has_opencv():
        raise SettingError("solver 'opencv' needs OpenCV with its contributed modules: pip install 'videozoo[flow]'")
    return name


def has_opencv() -> bool:
    """Whether OpenCV with its contributed flow methods is installed."""
    if find_spec("cv2") is None:
        return False
    import cv2

    return hasattr(cv2, "optflow")


def create_solver(name: str, device: str = "cpu") -> Solver:
    """A solver by its resolved name."""
    return _opencv_solver() if name == "opencv" else _tvnet_solver(device)


def opencv_pairwise(method: Any) -> Solver:
    """A flow method of OpenCV, ``calc(grey, grey, None)``, over the frames of a clip."""
    import cv2

    def solve(frames: Tensor) -> Tensor:
        grey = [cv2.cvtColor(frame.permute(1, 2, 0).numpy(), cv2.COLOR_RGB2GRAY) for frame in frames]
        try:
            flows = [method.calc(first, second, None) for first, second in pairwise(grey)]
        except cv2.error as error:
            height, width = grey[0].shape
            raise VideoError(f"OpenCV cannot find flow in frames of {width} x {height} pixels ({error.err})") from error
        return torch.stack([torch.from_numpy(flow) for flow in flows]).permute(0, 3, 1, 2)

    return solve


def _opencv_solver() -> Solver:
    import cv2

    optflow: Any = cv2.optflow  # the stubs of OpenCV leave its contributed modules out
    return opencv_pairwise(optflow.DualTVL1OpticalFlow_create())


def _tvnet_solver(device: str) -> Solver:
    pairs = 1 if torch.device(device).type == "cpu" else PAIRS_ON_GPU
    nets = [TVNet(scales, WARPS, ITERATIONS, trainable="nothing").to(device) for scales in range(1, SCALES + 1)]

    @torch.inference_mode()
    def solve(frames: Tensor) -> Tensor:
        steps = int(math.log2(max(min(frames.shape[-2:]) / COARSEST_SIDE, 1)))
        net = nets[min(steps, SCALES - 1)]
        grey = net.preparation.to_grey(frames.to(device).float())
        parts = zip(grey[:-1].split(pairs), grey[1:].split(pairs), strict=True)
        return torch.cat([net.flow(first, second).cpu() for first, second in parts])

    return solve
