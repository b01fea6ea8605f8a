"""Batches from shards, equally many in every process of a distributed run."""

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor, distributed
from torch.utils.data import DataLoader

from videozoo.data.dataset import READABLE, collate
from videozoo.data.shard_dataset import ShardDataset
from videozoo.errors import SettingError


class ShardLoader:
    """A loader whose processes read different shards and stay in step.

    In training the batches that not every process can have are left out, in another place each epoch; in evaluation
    every video is read once and processes that are done early are given batches without videos. Lightning finds
    ``set_epoch`` at ``sampler``. An interrupted epoch is begun anew: a stream has no place to go on from.

    Raises:
        SettingError: when there are fewer shards than processes, or too few videos for a batch in each.
    """

    def __init__(self, dataset: ShardDataset, *, batch_size: int, num_workers: int = 0) -> None:
        self.dataset = dataset
        self.sampler = dataset
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.processes = distributed.get_world_size() if distributed.is_initialized() else 1
        counts = [count for _, count in dataset.index.shards]
        if len(counts) < self.processes:
            raise SettingError(
                f"{dataset.folder}: {len(counts)} shards for {self.processes} processes, one each at least"
            )
        if dataset.training:
            least = sum(sorted(counts)[: len(counts) // self.processes])
            self._batches = least // batch_size
        else:
            most = max(sum(counts[rank :: self.processes]) for rank in range(self.processes))
            self._batches = -(-most // batch_size)
        if not self._batches:
            raise SettingError(f"{dataset.folder}: fewer videos a process than batch_size {batch_size}")

    def __len__(self) -> int:
        return self._batches

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        samples = iter(DataLoader(self.dataset, batch_size=None, num_workers=self.num_workers))
        for _ in range(self._batches):
            batch = list(islice(samples, self.batch_size))
            yield collate(batch or [{"failed": torch.tensor(READABLE)}])
