"""Sharded archives as a LightningDataModule."""

from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from videozoo.data.datamodules.base import Part, VideoDataModule, processes_and_rank
from videozoo.data.datamodules.something_something import mirrored_classes
from videozoo.data.shard_dataset import ShardDataset
from videozoo.data.shard_loader import ShardLoader
from videozoo.data.shards import read_index
from videozoo.errors import AnnotationError, SettingError

OTHER_PARTS: dict[Part, Part] = {"val": "test", "test": "val"}
OF_FILES = ("balance", "in_memory", "flow_root")  # settings that need every video at hand


class Shards(VideoDataModule):
    """``root`` holds a folder of shards a part: ``train``, ``val`` and ``test``, of which val and test may be one.

    It is a folder, an address that curl reads (https://host/shards), or a command that writes a file to its output,
    with ``{}`` in the place of the file's name: ``pipe:aws s3 cp s3://bucket/shards/{} -``. A mirrored training clip
    keeps its label; with ``mirror="swap"`` it takes that of the class whose name has left and right exchanged.
    """

    def __init__(self, root: str | Path, *, mirror: Literal["keep", "swap", "never"] = "keep", **settings: Any) -> None:
        super().__init__(root, flip=mirror != "never", **settings)
        if mirror not in ("keep", "swap", "never"):
            raise SettingError(f"mirror {mirror!r}: allowed are keep, swap, never")
        if unfit := [name for name in OF_FILES if settings.get(name)]:
            raise SettingError(f"{unfit[0]}: not for shards, which are read from end to end")
        self.address = str(root)
        self.mirror = mirror

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the labels."""
        return read_index(self.address, "train").classes

    def loader(self, part: Part) -> ShardLoader:
        """A loader over one part, split over the processes of a distributed run."""
        processes, rank = processes_and_rank()
        dataset = ShardDataset(
            self.address,
            self._stored(part),
            self.clip_spec,
            training=part == "train",
            views=self.test_views if part == "test" else None,
            on_error=self.on_error,
            seed=self.seed,
            transform=self.transform,
            mirrored_labels=mirrored_classes(self.classes) if self.mirror == "swap" else None,
            num_replicas=processes,
            rank=rank,
        )
        return ShardLoader(dataset, batch_size=self.batch_size, num_workers=self.num_workers)

    def on_before_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Tensor]:
        """Count the videos that a batch could not read; an epoch's are reported when the next one begins."""
        batch.pop("failed", None)
        self.note_bad(self._part_now(), batch.pop("problems", ()))
        return batch

    def _stored(self, part: Part) -> Part:
        """The part whose shards are read: val stands for an absent test, test for an absent val."""
        try:
            read_index(self.address, part)
        except AnnotationError:
            other = OTHER_PARTS.get(part, part)
            read_index(self.address, other)
            return other
        return part
