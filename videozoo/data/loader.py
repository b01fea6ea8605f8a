"""A loader that can stop within an epoch and go on from the next batch."""

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader

from videozoo.data.dataset import collate
from videozoo.data.sampler import EpochSampler


class ResumableLoader(DataLoader[dict[str, Tensor]]):
    """DataLoader over an EpochSampler whose state is the epoch and the batches already given out.

    The batches before it are skipped in the sampler, without reading any video. ``state_dict()`` and
    ``load_state_dict()`` are Lightning's and torchdata's names. Lightning itself hands the state back only if nobody
    asked for the number of steps before, as schedules do, and a batch that was given out may not have been learned from
    when training was interrupted: ``learned``, where it is set, tells how many batches of the epoch were, and is right
    in both cases.
    """

    sampler: EpochSampler
    learned: Callable[[], int] | None = None

    def __init__(self, sampler: EpochSampler, *, batch_size: int, **options: Any) -> None:
        super().__init__(sampler.dataset, batch_size=batch_size, sampler=sampler, collate_fn=collate, **options)
        self._given = 0
        self._resume: dict[str, int] = {}

    def __iter__(self) -> Iterator[dict[str, Tensor]]:  # type: ignore[override]
        resume, self._resume = self._resume, {}
        begun = resume["batches"] if resume.get("epoch") == self.sampler.epoch else 0
        begun = self.learned() if self.learned else begun
        self._given = begun if begun < len(self) else 0
        self.sampler.start = self._given * (self.batch_size or 1)
        for batch in super().__iter__():
            self._given += 1
            yield batch
        self._given = 0

    def state_dict(self) -> dict[str, int]:
        """Where the loader stands."""
        return {"epoch": self.sampler.epoch, "batches": self.learned() if self.learned else self._given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from there if the next epoch that is begun is that one; a finished one is not begun again."""
        self.sampler.set_epoch(state["epoch"])
        self._resume = dict(state)


def plain_loader(loader: ResumableLoader) -> DataLoader[dict[str, Tensor]]:
    """The same batches from an ordinary loader: for prediction Lightning makes every loader anew, from its options."""
    return DataLoader(
        loader.dataset,
        batch_size=loader.batch_size,
        sampler=loader.sampler,
        collate_fn=collate,
        num_workers=loader.num_workers,
        pin_memory=loader.pin_memory,
    )
