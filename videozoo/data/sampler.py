"""The order of videos, which depends on the seed and the epoch alone: training can stop anywhere and go on."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler

NOTHING = -1  # the index of a place that holds no video


class EpochSampler(DistributedSampler[tuple[int, int]]):
    """Yields (epoch, index) pairs: the data set draws its random crops from both, so workers do not matter.

    In training every rank gets equally many videos (the order is repeated from its start where it does not divide). In
    evaluation each video is seen once, by one rank; ranks with one fewer are given a place with NOTHING in it, so that
    all run equally many batches and none waits for another. ``weights`` draws videos with replacement in that
    proportion, for unbalanced classes. ``start`` skips the first videos of this rank in the next epoch only: a resumed
    one.

    It is a DistributedSampler so that Lightning leaves it in its place.
    """

    def __init__(
        self,
        dataset: Dataset[object],
        *,
        shuffle: bool,
        seed: int = 0,
        weights: Tensor | None = None,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=shuffle, seed=seed)
        self.weights = weights
        self.start = 0

    def order(self) -> list[int]:
        """The videos of this epoch on this rank."""
        total = len(self.dataset)  # type: ignore[arg-type]
        if not self.shuffle:
            own = list(range(self.rank, total, self.num_replicas))
            return own + [NOTHING] * (self.num_samples - len(own))
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        if self.weights is not None:
            order = torch.multinomial(self.weights.double(), total, replacement=True, generator=generator)
        else:
            order = torch.randperm(total, generator=generator)
        padded = order[torch.arange(self.total_size) % total]
        return padded[self.rank :: self.num_replicas].tolist()

    def __iter__(self) -> Iterator[tuple[int, int]]:
        start, self.start = self.start, 0
        order, epoch = self.order(), self.epoch
        return ((epoch, order[place]) for place in range(start, len(order)))


def balancing_weights(labels: Tensor, num_classes: int) -> Tensor:
    """Sampling weights (N,) that make every class that has videos equally likely."""
    counts = torch.bincount(labels, minlength=num_classes).clamp(min=1)
    return 1.0 / counts[labels].double()
