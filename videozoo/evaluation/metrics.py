"""Metrics that torchmetrics does not offer as this field reports them."""

import torch
from torch import Tensor
from torchmetrics.classification import MulticlassStatScores


class ClassMeanAccuracy(MulticlassStatScores):
    """Mean over the classes that have samples of the share of their videos answered rightly.

    TSN reports this on UCF101 and HMDB51. torchmetrics' macro accuracy also counts, as 0, a class that was predicted
    but has no sample, which is wrong for partial test lists. Takes scores (B, K) or classes (B,), and targets (B,).
    """

    is_differentiable = False
    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes=num_classes, average=None, top_k=1)

    def compute(self) -> Tensor:
        """The mean, a scalar in 0..1; not a number before the first sample."""
        true_positives, _, _, _, support = torch.atleast_2d(super().compute()).unbind(-1)
        present = support > 0
        return (true_positives[present] / support[present]).mean()
