"""A loader that can stop within an epoch and go on from the next batch."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader

from videozoo.data.dataset import collate
from videozoo.data.sampler import EpochSampler


class ResumableLoader(DataLoader[dict[str, Tensor]]):
    """DataLoader over an EpochSampler whose state is the epoch and the batches already given out.

    Lightning stores ``state_dict()`` in its checkpoints and hands it back on resuming; the batches before it are then
    skipped in the sampler, without reading any video.
    """

    sampler: EpochSampler

    def __init__(self, sampler: EpochSampler, *, batch_size: int, **options: Any) -> None:
        super().__init__(sampler.dataset, batch_size=batch_size, sampler=sampler, collate_fn=collate, **options)
        self._given = 0
        self._resume_at = 0

    def __iter__(self) -> Iterator[dict[str, Tensor]]:  # type: ignore[override]
        self._given, self._resume_at = self._resume_at, 0
        self.sampler.start = self._given * (self.batch_size or 1)
        for batch in super().__iter__():
            self._given += 1
            yield batch
        self._given = 0

    def state_dict(self) -> dict[str, int]:
        """Where the loader stands."""
        return {"epoch": self.sampler.epoch, "batches": self._given}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from there in the next epoch that is begun."""
        self.sampler.set_epoch(state["epoch"])
        self._resume_at = state["batches"]
