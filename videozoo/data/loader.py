"""A loader that can stop within an epoch and go on from the next batch."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader

from videozoo.data.dataset import collate
from videozoo.data.epoch_place import EpochPlace
from videozoo.data.sampler import EpochSampler
from videozoo.errors import VideoError


class ResumableLoader(DataLoader[dict[str, Tensor]]):
    """DataLoader over an EpochSampler whose state is the epoch and the batches already given out.

    The batches before it are skipped in the sampler, without reading any video. ``state_dict()`` and
    ``load_state_dict()`` are Lightning's and torchdata's names.
    """

    sampler: EpochSampler

    def __init__(self, sampler: EpochSampler, *, batch_size: int, **options: Any) -> None:
        super().__init__(sampler.dataset, batch_size=batch_size, sampler=sampler, collate_fn=collate, **options)
        self.place = EpochPlace()

    def __iter__(self) -> Iterator[dict[str, Tensor]]:  # type: ignore[override]
        self.sampler.start = self.place.begin(self.sampler.epoch, len(self)) * (self.batch_size or 1)
        batches = super().__iter__()
        while True:
            with one_line_errors():
                batch = next(batches, None)
            if batch is None:
                break
            self.place.given += 1
            yield batch
        self.place.given = 0

    def state_dict(self) -> dict[str, int]:
        """Where the loader stands."""
        return self.place.state(self.sampler.epoch)

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from there."""
        self.sampler.set_epoch(state["epoch"])
        self.place.go_on(state)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """What a worker says of a video, without the trace of where in the worker it was said."""
    try:
        yield
    except VideoError as error:
        last = str(error).strip().splitlines()[-1]
        raise VideoError(re.sub(r"^[\w.]+Error: ", "", last)) from error


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
