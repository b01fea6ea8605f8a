"""Batches from shards, equally many in every process of a distributed run."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch.utils.data import DataLoader

from videozoo.data.dataset import READABLE, collate
from videozoo.data.epoch_place import EpochPlace
from videozoo.data.loader import one_line_errors
from videozoo.data.shard_dataset import Sample, ShardDataset
from videozoo.errors import SettingError

Batch = dict[str, Any]  # tensors, and names of bad videos


class ShardLoader:
    """A loader whose processes read different shards and stay in step.

    In training the batches that not every process can have are left out, in another place each epoch; in evaluation
    every video is read once and processes that are done early are given batches without videos. A training batch
    without a readable video is one that stands in. Lightning finds ``set_epoch`` at ``sampler``. An interrupted epoch
    goes on from the same video with the same number of processes and workers: what was given out is read from the
    archives again, but not decoded. A batch's ``problems`` names its bad videos.

    Raises:
        SettingError: when there are fewer shards than processes, or too few videos for a batch in each.
    """

    def __init__(self, dataset: ShardDataset, *, batch_size: int, num_workers: int = 0) -> None:
        self.dataset = dataset
        self.sampler = dataset
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.place = EpochPlace()
        name, processes = f"{dataset.root}, {dataset.part}", dataset.num_replicas
        counts = [count for _, count in dataset.index.shards]
        if len(counts) < processes:
            raise SettingError(f"{name}: {len(counts)} shards for {processes} processes, one each at least")
        if dataset.training:
            least = sum(sorted(counts)[: len(counts) // processes])
            self._batches = least // batch_size
        else:
            most = max(sum(counts[rank::processes]) for rank in range(processes))
            self._batches = -(-most // batch_size)
        if not self._batches:
            raise SettingError(f"{name}: fewer videos a process than batch_size {batch_size}")

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[Batch]:
        begun = self.place.begin(self.dataset.epoch, len(self))
        self.dataset.start = begun * self.batch_size
        samples = islice(
            iter(DataLoader(self.dataset, batch_size=None, num_workers=self.num_workers)), self.dataset.start, None
        )
        for _ in range(begun, self._batches):
            with one_line_errors():
                batch = self._batch(list(islice(samples, self.batch_size)))
            self.place.given += 1
            yield batch
        self.place.given = 0

    def _batch(self, samples: list[Sample]) -> Batch:
        problems = [sample["problem"] for sample in samples if "problem" in sample]
        if self.dataset.training and not any("clip" in sample for sample in samples):
            samples = [*samples, self.dataset.stand_in()]
        return {**collate(samples or [{"failed": torch.tensor(READABLE)}]), "problems": problems}

    def state_dict(self) -> dict[str, int]:
        """Where the loader stands."""
        return self.place.state(self.dataset.epoch)

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from there."""
        self.dataset.set_epoch(state["epoch"])
        self.place.go_on(state)
