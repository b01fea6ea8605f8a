"""Temporal consensus: the scores of a clip's frames become one answer (TSN, section 3.1)."""

from torch import Tensor, nn


class AverageConsensus(nn.Module):
    """Mean of the frames' scores, before softmax.

    Shape: (B, T, K) -> (B, K).
    """

    def forward(self, scores: Tensor) -> Tensor:
        return scores.mean(dim=1)
