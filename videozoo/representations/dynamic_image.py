"""Dynamic image: a clip's order in time as one picture (Bilen et al., Dynamic Image Networks, CVPR 2016, section 2)."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal

import torch
from torch import Tensor, nn

from videozoo.clip_spec import IMAGENET_MEAN, IMAGENET_STD
from videozoo.errors import SettingError
from videozoo.representations.segments import split_segments

Weights = Literal["simple", "running_mean"]


def rank_pooling_weights(frames: int, weights: Weights = "simple") -> Tensor:
    """The weight of every frame in approximate rank pooling, float64; they sum to zero for two frames or more.

    simple: 2t - T - 1 for t = 1..T. running_mean: the same over the means of the first t frames, as in the paper,
    which makes it the sum of (2s - T - 1) / s over s = t..T.

    Shape: -> (T,).
    """
    ranks = [Fraction(2 * t - frames - 1) for t in range(1, frames + 1)]
    if weights == "simple":
        return torch.tensor([float(rank) for rank in ranks], dtype=torch.float64)
    means = [rank / t for t, rank in enumerate(ranks, start=1)]
    return torch.tensor([float(sum(means[t:])) for t in range(frames)], dtype=torch.float64)


class DynamicImage(nn.Module):
    """One picture a segment: frames weighted by their rank in time.

    With ``rescale``, each picture is stretched to 0..255 by its own minimum and maximum, as the paper stores it, and
    then normalised as the frames were: ``mean`` and ``std`` are those of the clip. Without it, the weighted sum is
    returned as it is.

    Shape: (B, S * F, C, H, W) -> (B, S, C, H, W), with F the frames of a segment.
    """

    weights: Tensor
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        *,
        in_channels: int = 3,
        frames: int = 6,
        weights: Weights = "simple",
        rescale: bool = True,
        mean: Sequence[float] = IMAGENET_MEAN,
        std: Sequence[float] = IMAGENET_STD,
    ) -> None:
        super().__init__()
        if frames < 2:
            raise SettingError(f"frames {frames}: an order in time needs at least 2")
        if weights not in ("simple", "running_mean"):
            raise SettingError(f"weights {weights!r}: must be simple or running_mean")
        if rescale and not len(mean) == len(std) == in_channels:
            raise SettingError(f"mean and std must have {in_channels} values, have {len(mean)} and {len(std)}")
        self.frames_per_segment = frames
        self.out_frames = 1
        self.out_channels = in_channels
        self.rescale = rescale
        self.register_buffer("weights", rank_pooling_weights(frames, weights).float(), persistent=False)
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1), persistent=False)

    def forward(self, clip: Tensor) -> Tensor:
        segments = split_segments(clip, self.frames_per_segment)
        picture = sum_over_time(segments, self.weights.to(clip.dtype))
        if not self.rescale:
            return picture
        # The weights sum to zero, so the subtracted mean is gone already and pixel units need only the deviation.
        picture = picture * self.std
        low, high = picture.amin(dim=(2, 3, 4), keepdim=True), picture.amax(dim=(2, 3, 4), keepdim=True)
        unit = (picture - low) / (high - low).clamp_min(torch.finfo(picture.dtype).tiny)
        return (unit - self.mean) / self.std


def sum_over_time(segments: Tensor, weights: Tensor) -> Tensor:
    """Weighted sum of the frames of every segment. Shape: (B, S, F, C, H, W), (F,) -> (B, S, C, H, W)."""
    return torch.einsum("bsf...,f->bs...", segments, weights)
