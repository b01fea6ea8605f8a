"""Neighbouring frames that activate the same units become one (full-video action recognition, section 3.3)."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videozoo.errors import SettingError

Grouping = Literal["cumulative", "slope", "uniform"]
GROUPINGS = ("cumulative", "slope", "uniform")
WORD = 8  # bits, one a byte, that are compared at once


def neighbour_distances(features: Tensor) -> Tensor:
    """Hamming distances between the signs of neighbouring frames: units of which only one of the two is active.

    Shape: (B, T, C, H, W) -> int64 (B, T - 1).
    """
    active = features.detach() > 0
    if channels_last(active.flatten(0, 1)):
        active = active.movedim(2, -1)  # in whatever order units are compared
    units = active.flatten(2)
    if units.shape[2] % WORD:
        units = F.pad(units, (0, -units.shape[2] % WORD))
    words = units.contiguous().view(torch.int64)  # eight units side by side
    different = words[:, 1:] ^ words[:, :-1]
    # The highest byte of this product is the sum of all eight, each 0 or 1.
    return ((different * 0x0101010101010101) >> 56).sum(dim=2)


def cumulative_clusters(distances: Tensor, clusters: int) -> Tensor:
    """Clusters that each cover an equal part of the way from the first frame to the last.

    Whole numbers throughout, so no frame falls on the wrong side of a border. Shape: (B, T - 1) -> (B, T), from 0.
    """
    covered = F.pad(distances.cumsum(dim=1), (1, 0))
    whole = covered[:, -1:]
    part = torch.div(clusters * covered + whole - 1, whole.clamp_min(1), rounding_mode="floor")
    return part.clamp_min(1) - 1  # the first frames, where nothing is covered yet, belong to the first cluster


def slope_clusters(distances: Tensor, clusters: int) -> Tensor:
    """Clusters cut at the largest distances, the earlier of equal ones. Shape: (B, T - 1) -> (B, T), from 0.

    For g clusters there are g - 1 cuts, as in figure 3; the text says g.
    """
    cuts = distances.argsort(dim=1, descending=True, stable=True)[:, : clusters - 1]
    starts = torch.zeros_like(distances).scatter_(1, cuts, 1)
    return F.pad(starts.cumsum(dim=1), (1, 0))


def uniform_clusters(lengths: Tensor, frames: int, clusters: int) -> Tensor:
    """Clusters of equal length, whatever is seen. Shape: (B,) -> (B, T), from 0."""
    places = torch.arange(frames, device=lengths.device)
    return (places * clusters // lengths.unsqueeze(1)).clamp_max(clusters - 1)


def cluster_means(features: Tensor, ids: Tensor, clusters: int, counted: Tensor | None = None) -> Tensor:
    """Mean over the frames of each cluster; an empty cluster repeats the one before it.

    ``counted`` (B, T) says which frames weigh; without it all do. Shape: (B, T, ...), (B, T) -> (B, g, ...).
    """
    videos = ids.shape[0]
    flat = features.flatten(0, 1)
    last = channels_last(flat)
    if last:
        flat = flat.permute(0, 2, 3, 1)
    rows = ids + clusters * torch.arange(videos, device=ids.device).unsqueeze(1)
    nowhere = videos * clusters  # a row more, for frames that do not weigh
    target = (rows if counted is None else rows.where(counted, nowhere)).flatten()
    sizes = torch.zeros(nowhere + 1, device=ids.device).index_add_(0, target, torch.ones_like(target).float())
    wide = flat.float() if flat.dtype.itemsize < 4 else flat  # half precision would lose many frames' last digits
    sums = wide.new_zeros(nowhere + 1, *flat.shape[1:]).index_add(0, target, wide)
    means = (sums / sizes.clamp_min(1).to(sums.dtype).view(-1, *[1] * (flat.dim() - 1))).to(flat.dtype)
    filled = last_filled(sizes[:nowhere].view(videos, clusters))
    starts = clusters * torch.arange(videos, device=ids.device).unsqueeze(1)
    merged = means.index_select(0, (filled + starts).flatten())
    return (merged.permute(0, 3, 1, 2) if last else merged).unflatten(0, (videos, clusters))


def channels_last(images: Tensor) -> bool:
    """Whether the channels of a pixel lie side by side in memory, and not just because there is one pixel."""
    return images.dim() == 4 and not images.is_contiguous() and images.permute(0, 2, 3, 1).is_contiguous()


def last_filled(sizes: Tensor) -> Tensor:
    """The cluster itself, or the nearest before it that has frames. Shape: (B, g) -> (B, g)."""
    places = torch.arange(sizes.shape[1], device=sizes.device).expand_as(sizes)
    return places.where(sizes > 0, 0).cummax(dim=1).values


def unrepeated_lengths(clip: Tensor) -> Tensor:
    """Frames of each video up to the first of those that only repeat the last one. Shape: (B, T, C, H, W) -> (B,)."""
    repeats = (clip[:, :-1] == clip[:, -1:]).flatten(2).all(dim=2)  # (B, T - 1)
    return clip.shape[1] - repeats.flip(1).long().cumprod(dim=1).sum(dim=1)


class TemporalClustering(nn.Module):
    """Frames of a video merged to ``clusters`` averages, by what they activate; no parameters.

    Gradients go through the averages, not through the assignment. ``lengths`` (B,) say how many frames are real; the
    rest, repetitions of the last one, join its cluster and do not weigh.
    Shape: (B, T, C, H, W) -> (B, g, C, H, W).
    """

    def __init__(self, clusters: int = 8, grouping: Grouping = "cumulative") -> None:
        super().__init__()
        if grouping not in GROUPINGS:
            raise SettingError(f"grouping {grouping!r}: must be one of {', '.join(GROUPINGS)}")
        if clusters < 1:
            raise SettingError(f"clusters {clusters}: must be at least 1")
        self.clusters = clusters
        self.grouping: Grouping = grouping

    def assign(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The cluster of every frame, from 0. Shape: (B, T, C, H, W) -> int64 (B, T)."""
        videos, frames = features.shape[:2]
        if lengths is None:
            lengths = torch.full((videos,), frames, device=features.device)
        if self.grouping == "uniform":
            return uniform_clusters(lengths, frames, self.clusters)
        # Between repeated frames lies no distance; what a shift in time makes of the last one is not looked at.
        inside = torch.arange(1, frames, device=features.device) < lengths.unsqueeze(1)
        distances = neighbour_distances(features)
        if self.grouping == "cumulative":
            return cumulative_clusters(distances * inside, self.clusters)
        ids = slope_clusters(distances.where(inside, -1), self.clusters)
        return ids.minimum(ids.gather(1, lengths.unsqueeze(1) - 1))

    def forward(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        ids = self.assign(features, lengths)
        counted = None
        if lengths is not None:
            counted = torch.arange(features.shape[1], device=features.device) < lengths.unsqueeze(1)
        return cluster_means(features, ids, self.clusters, counted)
