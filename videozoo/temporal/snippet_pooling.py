"""The consensus of PBNet: scores of all snippets of a video, or of a chosen few, become one answer (equation 2)."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videozoo.errors import SettingError

Pooling = Literal["mean", "weighted", "max"]
POOLINGS = ("mean", "weighted", "max")


class SnippetPooling(nn.Module):
    """Mean, weighted sum or maximum of the snippets' scores.

    The weighted sum of n chosen ones of m snippets is multiplied by m / n, as corollary 1 asks. ``weights`` are one a
    snippet and need not add up to 1; for another number of snippets they are stretched over the video.
    Shape: (B, m, K) -> (B, K).
    """

    def __init__(self, pooling: Pooling = "mean", weights: Sequence[float] | None = None) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise SettingError(f"pooling {pooling!r}: must be one of {', '.join(POOLINGS)}")
        if (weights is not None) != (pooling == "weighted") or (weights is not None and not len(weights)):
            raise SettingError(f"pooling {pooling!r}, weights {weights}: weights go with 'weighted' and only with it")
        self.pooling = pooling
        self.weights = None if weights is None else tuple(map(float, weights))

    def forward(self, scores: Tensor, chosen: Tensor | None = None, snippets: int | None = None) -> Tensor:
        """Pool all, or those whose places ``chosen`` (B, n) among all ``snippets`` of the video are given."""
        if self.pooling == "max":
            return scores.amax(dim=1)
        if self.pooling == "mean":
            return scores.mean(dim=1)
        count = snippets or scores.shape[1]
        weights = self.weights_of(count).to(scores)
        if chosen is not None:
            weights = weights[chosen] * (count / chosen.shape[1])  # (B, n)
        return (scores * weights.unsqueeze(-1)).sum(dim=1)

    def pool_subsets(self, scores: Tensor, subsets: Tensor) -> Tensor:
        """The answer of every subset. Shape: (B, m, K), places (Q, n) -> (B, Q, K)."""
        if self.pooling == "max":
            return scores[:, subsets].amax(dim=2)
        count, chosen = scores.shape[1], subsets.shape[1]
        weights = self.weights_of(count).to(scores)
        members = torch.zeros(len(subsets), count, dtype=scores.dtype, device=scores.device).scatter_(1, subsets, 1)
        return (members * weights * (count / chosen)) @ scores

    def weights_of(self, snippets: int) -> Tensor:
        """The weight of each of so many snippets. Shape: float64 (m,)."""
        if self.weights is None:
            return torch.full((snippets,), 1 / snippets, dtype=torch.float64)
        weights = torch.tensor(self.weights, dtype=torch.float64)
        if len(weights) == snippets:
            return weights
        stretched = F.interpolate(weights.view(1, 1, -1), size=snippets, mode="linear", align_corners=True).flatten()
        return stretched * (len(weights) / snippets)
