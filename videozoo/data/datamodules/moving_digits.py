"""Moving digits as a LightningDataModule, made on the fly (full-video paper, Move4MNIST: 1800 + 600 videos)."""

import sys
from dataclasses import replace

import pytorch_lightning as pl
from torch import Tensor
from torch.utils.data import DataLoader

from videozoo.clip_spec import ClipSpec
from videozoo.data.digit_set import DigitClips, DigitSet
from videozoo.data.loader import ResumableLoader, plain_loader
from videozoo.data.moving_digits import LABELS
from videozoo.data.sampler import EpochSampler
from videozoo.errors import SettingError


class MovingDigits(pl.LightningDataModule):
    """Train, validation and test clips of the controlled set.

    Validation videos are further ones of the train part, never trained on; the test part shares neither digits nor
    backgrounds with it. ``digits`` says how videos are made (its ``part`` is ignored), ``clip_spec`` how clips are.
    ``relevant_epochs`` is that of DigitClips.
    """

    labels = LABELS
    num_classes = len(LABELS)

    def __init__(
        self,
        clip_spec: ClipSpec,
        digits: DigitSet | None = None,
        *,
        videos_train: int = 1800,
        videos_val: int = 200,
        videos_test: int = 600,
        batch_size: int = 32,
        num_workers: int = 0,
        relevant_epochs: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 1 or num_workers < 0:
            raise SettingError(f"batch_size {batch_size} must be at least 1, num_workers {num_workers} at least 0")
        self.batch_size = batch_size
        self.num_workers = num_workers
        train = replace(digits or DigitSet(), part="train")
        self.train_set = DigitClips(train, videos_train, clip_spec, training=True, relevant_epochs=relevant_epochs)
        self.val_set = DigitClips(train, videos_val, clip_spec, first=videos_train, training=False)
        self.test_set = DigitClips(replace(train, part="test"), videos_test, clip_spec, training=False)

    def show(self, clip_spec: ClipSpec) -> None:
        """Make clips of another spec from the same videos, so that networks are compared without making them anew."""
        for part in (self.train_set, self.val_set, self.test_set):
            part.show(clip_spec)

    def setup(self, stage: str) -> None:
        """Make the videos of a stage; those already made stay."""
        parts = {"fit": (self.train_set, self.val_set), "validate": (self.val_set,)}.get(stage, (self.test_set,))
        for part in parts:
            part.fill(quiet=not sys.stderr.isatty())

    def train_dataloader(self) -> ResumableLoader:
        """Shuffled clips of randomly drawn frames."""
        return self._loader(self.train_set)

    def val_dataloader(self) -> ResumableLoader:
        """Held-out videos of the train part, centre frames."""
        return self._loader(self.val_set)

    def test_dataloader(self) -> ResumableLoader:
        """The test part, centre frames."""
        return self._loader(self.test_set)

    def predict_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """The test part."""
        return plain_loader(self.test_dataloader())

    def on_before_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> dict[str, Tensor]:
        """Drop the list of unreadable videos: a made video can always be read."""
        batch.pop("failed", None)
        return batch

    def _loader(self, clips: DigitClips) -> ResumableLoader:
        processes, rank = (self.trainer.world_size, self.trainer.global_rank) if self.trainer else (1, 0)
        sampler = EpochSampler(clips, shuffle=clips.training, seed=clips.digits.seed, num_replicas=processes, rank=rank)
        return ResumableLoader(sampler, batch_size=self.batch_size, num_workers=self.num_workers)
