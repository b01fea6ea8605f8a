"""Sharded archives as a LightningDataModule."""

from pathlib import Path

import pytorch_lightning as pl
from torch import Tensor

from videozoo.clip_spec import ClipSpec, Views
from videozoo.data.dataset import OnError
from videozoo.data.shard_dataset import ShardDataset
from videozoo.data.shard_loader import ShardLoader
from videozoo.data.shards import read_index
from videozoo.errors import SettingError


class Shards(pl.LightningDataModule):
    """``root`` holds a folder of shards a part: ``train``, ``val`` and ``test``, of which val and test may be one."""

    def __init__(
        self,
        root: str | Path,
        *,
        clip_spec: ClipSpec,
        batch_size: int = 8,
        num_workers: int = 0,
        seed: int = 0,
        on_error: OnError = "skip",
        test_views: Views | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1 or num_workers < 0:
            raise SettingError(f"batch_size {batch_size} must be at least 1, num_workers {num_workers} at least 0")
        self.root = Path(root)
        self.clip_spec = clip_spec
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.on_error: OnError = on_error
        self.test_views = test_views or clip_spec.views

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the labels."""
        return read_index(self.root / "train").classes

    def train_dataloader(self) -> ShardLoader:
        """Random clips; shards and videos shuffled anew each epoch."""
        return self._loader("train")

    def val_dataloader(self) -> ShardLoader:
        """One centre view of every video."""
        return self._loader("val", "test")

    def test_dataloader(self) -> ShardLoader:
        """All views of every video."""
        return self._loader("test", "val", views=self.test_views)

    def on_before_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> dict[str, Tensor]:
        """Drop the list of unreadable videos."""
        batch.pop("failed", None)
        return batch

    def _loader(self, *parts: str, views: Views | None = None) -> ShardLoader:
        folder = next((self.root / part for part in parts if (self.root / part).is_dir()), self.root / parts[0])
        dataset = ShardDataset(
            folder,
            self.clip_spec,
            training=parts[0] == "train",
            views=views,
            on_error=self.on_error,
            seed=self.seed,
        )
        return ShardLoader(dataset, batch_size=self.batch_size, num_workers=self.num_workers)
