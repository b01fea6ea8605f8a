"""Weights of a video's segments from a few numbers: as they are, or sampled from Gaussians over time (DATP, 3.2)."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videozoo.errors import SettingError

SIGMA = 0.2  # at the start; equations 1 and 2 use it as the standard deviation, whatever the text calls it
LEAST_SIGMA = 0.05  # below it a Gaussian falls between the segments

Generator = Literal["mixture", "discrete"]


def mixture_density(times: Tensor, shares: Tensor, means: Tensor, sigmas: Tensor) -> Tensor:
    """Density of a mixture of Gaussians (equation 1, with the square that its exponent lacks in print).

    Shape: (T,), three of (B, G) -> (B, T).
    """
    distances = (times.unsqueeze(-1) - means.unsqueeze(1)) / sigmas.unsqueeze(1)  # (B, T, G)
    heights = shares / (math.sqrt(2 * math.pi) * sigmas)
    return (heights.unsqueeze(1) * torch.exp(-0.5 * distances.square())).sum(dim=-1)


def segment_times(segments: int, like: Tensor) -> Tensor:
    """When the segments are, 0 the first and 1 the last. Shape: (T,)."""
    return torch.linspace(0, 1, segments, dtype=like.dtype, device=like.device)


class GaussianWeights(nn.Module):
    """Weights sampled from ``gaussians`` Gaussians over the video.

    Free numbers become shares (softmax), means (sigmoid) and standard deviations (softplus and a least one), so that
    any of them are valid; ``start`` are those of equal shares, means k / (G + 1) and the paper's spread.
    Shape: (B, 3 G) -> (B, T).
    """

    def __init__(self, gaussians: int) -> None:
        super().__init__()
        if gaussians < 1:
            raise SettingError(f"gaussians {gaussians}: must be at least 1")
        self.gaussians = gaussians
        self.numbers = 3 * gaussians

    def start(self) -> Tensor:
        """Numbers to begin with. Shape: (3 G,)."""
        means = torch.arange(1, self.gaussians + 1) / (self.gaussians + 1)
        spread = math.log(math.expm1(SIGMA - LEAST_SIGMA))
        return torch.cat([torch.zeros(self.gaussians), means.logit(), torch.full((self.gaussians,), spread)])

    def parameters_of(self, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Shares, means and standard deviations. Shape: (B, 3 G) -> three of (B, G)."""
        shares, means, sigmas = numbers.chunk(3, dim=-1)
        return shares.softmax(dim=-1), means.sigmoid(), F.softplus(sigmas) + LEAST_SIGMA

    def forward(self, numbers: Tensor, segments: int) -> Tensor:
        return mixture_density(segment_times(segments, numbers), *self.parameters_of(numbers))


class DiscreteWeights(nn.Module):
    """The numbers are the weights, one a segment, all equal at the ``start``.

    For another number of segments they are stretched over the video. Shape: (B, N) -> (B, T).
    """

    def __init__(self, segments: int) -> None:
        super().__init__()
        self.numbers = segments

    def start(self) -> Tensor:
        """Numbers to begin with. Shape: (N,)."""
        return torch.ones(self.numbers)

    def forward(self, numbers: Tensor, segments: int) -> Tensor:
        return stretch(numbers.unsqueeze(1), segments).squeeze(1)


def stretch(sequence: Tensor, segments: int) -> Tensor:
    """A sequence at another number of places, linear between its own. Shape: (B, D, N) -> (B, D, T)."""
    if sequence.shape[-1] == segments:
        return sequence
    return F.interpolate(sequence, size=segments, mode="linear", align_corners=True)


def random_gaussians(videos: int, gaussians: int, segments: int, generator: torch.Generator) -> Tensor:
    """Weights of Gaussians that nothing was learned about (test scheme P1); the law is not in the paper.

    Means are anywhere in the video, standard deviations from 0.05 to 0.5, shares equal. Shape: (B, T).
    """
    means = torch.rand(videos, gaussians, generator=generator)
    sigmas = LEAST_SIGMA + 0.45 * torch.rand(videos, gaussians, generator=generator)
    return mixture_density(segment_times(segments, means), torch.full_like(means, 1 / gaussians), means, sigmas)
