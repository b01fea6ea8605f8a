"""Metrics that torchmetrics does not offer as this field reports them."""

import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.classification import MulticlassStatScores
from torchmetrics.utilities import dim_zero_cat


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


class MeanAveragePrecision(Metric):
    """Mean over the classes that have positives of the area under their precision-recall steps (THUMOS, UntrimmedNet).

    torchmetrics counts a class without positives as 0, and squeezes each batch into 0..1 if anything in it lies
    outside, so that scores of different batches cannot be compared. Here scores of any range are ranked as they are;
    equal ones are taken together. Takes scores (B, K), and targets 0/1 (B, K) or classes (B,).
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    scores: list[Tensor]
    targets: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("scores", [], dist_reduce_fx="cat")
        self.add_state("targets", [], dist_reduce_fx="cat")

    def update(self, scores: Tensor, target: Tensor) -> None:
        """Keep one batch."""
        if target.dim() == 1:
            target = torch.nn.functional.one_hot(target, scores.shape[1])
        self.scores.append(scores.detach().float())
        self.targets.append(target > 0)

    def compute(self) -> Tensor:
        """The mean, a scalar in 0..1; not a number without positives."""
        if not self.scores:
            return torch.tensor(float("nan"))
        precisions = average_precisions(dim_zero_cat(self.scores), dim_zero_cat(self.targets))
        return precisions.nanmean()


def average_precisions(scores: Tensor, targets: Tensor) -> Tensor:
    """Average precision of each class, not a number where it has no positives. Shape: (N, K), bool (N, K) -> (K,)."""
    scores, positive = scores.T.contiguous(), targets.T.double()
    # How many samples score at least as high: the rank of a sample, that of the last where several are equal.
    ranks = len(targets) - torch.searchsorted(scores.sort(dim=1).values, scores)
    order = scores.argsort(dim=1, descending=True)
    found = positive.gather(1, order).cumsum(dim=1).gather(1, ranks - 1)
    return ((found / ranks) * positive).sum(dim=1) / positive.sum(dim=1)
