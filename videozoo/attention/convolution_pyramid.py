"""Convolution pyramid attention: one map over space and time from the channels' mean (thesis 4.3)."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videozoo.attention.kernel import Kernel, parse_kernel
from videozoo.errors import SettingError

Form = Literal["rescaled", "residual", "literal"]
FORMS = ("rescaled", "residual", "literal")
PYRAMID = ("1x1x1", "3x3x3", "3x7x7", "3x9x9")  # the best of table 4.5


class ConvolutionPyramid(nn.Module):
    """CPA(x) = softmax over THW (F(mean over C of x)) * x, F a sum of one-channel convolutions (equations 4.10, 4.11).

    Taken ``literal``-ly, the map's mean is 1 / THW and erases the features. ``rescaled`` (the default) multiplies the
    map by THW, ``residual`` adds the input. The convolutions start at zero, so that the rescaled form is the identity
    at first. They have no bias, which a softmax would not see.
    Shape: (B, T, C, H, W) -> (B, T, C, H, W).
    """

    def __init__(self, channels: int, *, kernels: Sequence[Kernel] = PYRAMID, form: Form = "rescaled") -> None:
        super().__init__()
        if form not in FORMS:
            raise SettingError(f"form {form!r}: allowed are {', '.join(FORMS)}")
        if not kernels:
            raise SettingError("kernels (): a pyramid needs at least one")
        self.form = form
        sizes = [parse_kernel(kernel) for kernel in kernels]
        self.kernels = nn.ParameterList(torch.zeros(1, 1, *size) for size in sizes)
        self.largest = [max(sides) for sides in zip(*sizes, strict=True)]

    def forward(self, features: Tensor) -> Tensor:
        if self.form == "rescaled":
            response = self._exponentials(features)
            return features * (response / response.mean(dim=(1, 2, 3), keepdim=True)).unsqueeze(2)
        attended = features * self.attention(features).unsqueeze(2)
        return attended if self.form == "literal" else features + attended

    def attention(self, features: Tensor) -> Tensor:
        """The map, one for all channels; its sum is 1. Shape: (B, T, C, H, W) -> (B, T, H, W)."""
        response = self._exponentials(features)
        return response / response.sum(dim=(1, 2, 3), keepdim=True)

    def weights(self, features: Tensor, position: tuple[int, int, int]) -> Tensor:
        """Where any position looks: the one map. Shape: (B, T, C, H, W) -> (B, T, H, W)."""
        return self.attention(features)

    def merged_kernel(self) -> Tensor:
        """One kernel for the whole pyramid: the sum of its kernels, the smaller ones widened by zeros."""
        return torch.stack([widen(kernel, self.largest) for kernel in self.kernels]).sum(dim=0)

    def _exponentials(self, features: Tensor) -> Tensor:
        """What the softmax normalises, at most 1 everywhere. Shape: (B, T, C, H, W) -> (B, T, H, W)."""
        mean = features.mean(dim=2).unsqueeze(1)
        response = F.conv3d(mean, self.merged_kernel(), padding=[side // 2 for side in self.largest]).squeeze(1)
        return (response - response.amax(dim=(1, 2, 3), keepdim=True)).exp()


def widen(kernel: Tensor, size: Sequence[int]) -> Tensor:
    """The same filter as a kernel of another size, zeros around it. Shape: (1, 1, t, h, w) -> ``(1, 1, *size)``."""
    frames, rows, columns = ((side - own) // 2 for side, own in zip(size, kernel.shape[2:], strict=True))
    return F.pad(kernel, (columns, columns, rows, rows, frames, frames))
