"""Motion band-pass: edges that move, by a Laplacian of Gaussian in space and a second difference in time.

Thesis, section 5.3: MBPM, equations 5.1 to 5.3.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videozoo.errors import SettingError
from videozoo.representations.segments import split_segments

Normalisation = Literal["sum", "l1", "peak", "none"]

SECOND_DIFFERENCE = (-1 / 3, 2 / 3, -1 / 3)
# A Laplacian of Gaussian sums to zero but for what the window cuts off; below this, its sum says nothing any more.
SMALLEST_SUM = 1e-6


def laplacian_of_gaussian(size: int, sigma: float, normalisation: Normalisation = "none") -> Tensor:
    """The kernel of equation 5.2, float64, divided by one of its own measures.

    sum: the kernel's sum, as in the thesis. It is nearly zero for kernels much wider than ``sigma`` (-7.8e-4 at 9 and
    1.1), so the quotient is large and upside down; the convolution and norm that follow absorb both. l1: the sum of
    magnitudes, which keeps the output in the input's range. peak: the magnitude of the centre.

    Shape: -> (size, size).

    Raises:
        SettingError: for an even size, a sigma that is not positive, an unknown measure, or a sum too near to zero.
    """
    if size < 1 or size % 2 == 0 or not sigma > 0:
        raise SettingError(f"kernel size {size}, sigma {sigma}: size must be odd, sigma positive (pixels)")
    places = torch.arange(size, dtype=torch.float64, device="cpu") - size // 2  # its values are looked at below
    q = (places[:, None] ** 2 + places**2) / (2 * sigma**2)
    kernel = -(1 - q) * torch.exp(-q) / (math.pi * sigma**4)
    measures = {"sum": kernel.sum(), "l1": kernel.abs().sum(), "peak": kernel.abs().max(), "none": kernel.new_ones(())}
    if normalisation not in measures:
        raise SettingError(f"normalisation {normalisation!r}: must be one of {', '.join(measures)}")
    if normalisation == "sum" and abs(kernel.sum().item()) < SMALLEST_SUM:
        raise SettingError(
            f"kernel size {size}, sigma {sigma}: sums to {kernel.sum().item():.1e}, too little to divide by; "
            "take a smaller kernel, a larger sigma or normalisation l1, peak or none"
        )
    return kernel / measures[normalisation]


class MotionBandPass(nn.Module):
    """Three frames to one that shows what moved (``stride`` 3), or every frame with its neighbours (``stride`` 1).

    Both steps work on each channel alone and are linear, so their order does not matter: time goes first here, and
    the costly convolution in space never sees the frames that the stride drops. Space is padded by reflection; at
    stride 1 the first and last frames are repeated. ``shared`` uses one kernel for all channels, ``trainable=False``
    keeps the filters as they are.

    Shape: (B, T, C, H, W) -> (B, T / stride, C, H, W).
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        kernel_size: int = 9,
        sigma: float = 1.1,
        stride: Literal[1, 3] = 3,
        normalisation: Normalisation = "sum",
        trainable: bool = True,
        shared: bool = False,
    ) -> None:
        super().__init__()
        if stride not in (1, 3):
            raise SettingError(f"stride {stride}: must be 1 or 3 (frames)")
        self.frames_per_segment = stride
        self.out_frames = 1
        self.out_channels = in_channels
        kernels = 1 if shared else in_channels
        kernel = laplacian_of_gaussian(kernel_size, sigma, normalisation).float()
        difference = torch.tensor(SECOND_DIFFERENCE)
        self.space = nn.Parameter(kernel.repeat(kernels, 1, 1, 1), requires_grad=trainable)
        self.time = nn.Parameter(difference.repeat(kernels, 1, 1), requires_grad=trainable)

    def forward(self, clip: Tensor) -> Tensor:
        return self.filter_space(self.filter_time(clip))

    def filter_space(self, clip: Tensor) -> Tensor:
        """The Laplacian of Gaussian, every frame alone. Shape: (B, T, C, H, W) -> same."""
        frames = clip.flatten(0, 1)
        margin = self.space.shape[-1] // 2
        # A reflection needs more pixels than it mirrors; the maps of late stages can have fewer.
        mode = "reflect" if margin < min(clip.shape[-2:]) else "replicate"
        padded = F.pad(frames, (margin,) * 4, mode=mode)
        kernels = self.space.expand(clip.shape[2], -1, -1, -1)
        return F.conv2d(padded, kernels, groups=clip.shape[2]).unflatten(0, clip.shape[:2])

    def filter_time(self, clip: Tensor) -> Tensor:
        """The second difference. Shape: (B, T, C, H, W) -> (B, T / stride, C, H, W)."""
        past, present, future = self.time[:, 0, :, None, None].unbind(dim=1)
        if self.frames_per_segment == 3:
            before, now, after = split_segments(clip, 3).unbind(dim=2)
            return (now * present).addcmul_(before, past).addcmul_(after, future)
        # In place on slices: three passes over features that are as large as a network's, and no padded copies.
        filtered = clip * present
        filtered[:, 1:].addcmul_(clip[:, :-1], past)
        filtered[:, :1].addcmul_(clip[:, :1], past)
        filtered[:, :-1].addcmul_(clip[:, 1:], future)
        filtered[:, -1:].addcmul_(clip[:, -1:], future)
        return filtered
