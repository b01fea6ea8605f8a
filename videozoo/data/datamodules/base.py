"""What every data set of videos shares: parts, loaders, and a report of what is missing or broken."""

import warnings
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor, distributed
from torch.utils.data import DataLoader

from videozoo.clip_spec import ClipSpec, Views
from videozoo.data.annotations import Annotations
from videozoo.data.bad_videos import BadVideos
from videozoo.data.batch_mixing import BatchMixing
from videozoo.data.dataset import OnError, Transform, VideoDataset, stand_in
from videozoo.data.flow_lists import flow_list
from videozoo.data.flow_source import open_flow
from videozoo.data.frame_source import FrameSource, open_video
from videozoo.data.loader import ResumableLoader, plain_loader
from videozoo.data.memory import VideoMemory
from videozoo.data.sampler import EpochSampler, balancing_weights
from videozoo.data.shard_loader import ShardLoader
from videozoo.data.transforms import default_train_transform
from videozoo.errors import AnnotationError, SettingError

Part = Literal["train", "val", "test"]


class VideoDataModule(pl.LightningDataModule):
    """Loaders over the parts of a data set; a subclass says in ``annotations`` which videos a part has.

    Batches are dicts with ``clip``, ``label``, ``index`` (see videozoo.clip_spec) and ``failed``, the places of videos
    that could not be read. Validation sees one centre view, the test ``test_views``. ``balance`` draws rare classes as
    often as common ones. ``flip`` mirrors every second training clip. ``in_memory`` keeps all videos, decoded and
    resized, in this process. Where the ClipSpec's modality is flow, stored flow below ``flow_root`` is read in the
    place of the videos. ``mixing`` augments training batches on the device.
    """

    frame_rate = 12.0  # of a video stored as pictures, frames a second

    def __init__(
        self,
        root: str | Path,
        *,
        clip_spec: ClipSpec,
        batch_size: int = 8,
        num_workers: int = 0,
        seed: int = 0,
        on_error: OnError = "replace",
        balance: bool = False,
        test_views: Views | None = None,
        flip: bool = True,
        transform: Transform | None = None,
        in_memory: bool = False,
        flow_root: str | Path | None = None,
        mixing: BatchMixing | None = None,
    ) -> None:
        super().__init__()
        if batch_size < 1 or num_workers < 0:
            raise SettingError(f"batch_size {batch_size} must be at least 1, num_workers {num_workers} at least 0")
        flow = clip_spec.modality == "flow"
        if flow and (flow_root is None or in_memory):
            raise SettingError("clips of flow need flow_root, the folder of extracted flow, and are not held in memory")
        self.root = Path(root)
        self.flow_root = Path(flow_root) if flow and flow_root is not None else None
        self.mixing = mixing
        self.clip_spec = clip_spec
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.on_error: OnError = on_error
        self.balance = balance
        self.test_views = test_views or clip_spec.views
        self.transform = transform or default_train_transform(clip_spec, flip=flip)
        self.mirrored_labels: Tensor | None = None
        self.opener: Callable[[Path], FrameSource] = partial(open_video, frame_rate=self.frame_rate)
        if flow or in_memory:
            self.opener = open_flow if flow else VideoMemory(clip_spec)
        self.bad_videos = BadVideos()
        self._datasets: dict[Part, VideoDataset] = {}

    def annotations(self, part: Part) -> Annotations:
        """The videos of one part."""
        raise NotImplementedError(f"{type(self).__name__} does not say which videos a part has")

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the labels."""
        read = next(iter(self._datasets.values()), None)
        return read.annotations.classes if read else self.annotations("train").classes

    def dataset(self, part: Part) -> VideoDataset:
        """One part's videos that are on disk; those that are not are counted in a warning.

        Raises:
            AnnotationError: when none of the part's videos is on disk.
        """
        if part not in self._datasets:
            listed = self.annotations(part)
            if self.flow_root is not None:
                listed = flow_list(listed, self.root, self.flow_root, self.clip_spec)
            self._datasets[part] = VideoDataset(
                only_present(listed, f"{type(self).__name__} {part}"),
                self.clip_spec,
                training=part == "train",
                views=self.test_views if part == "test" else None,
                on_error=self.on_error,
                seed=self.seed,
                transform=self.transform,
                mirrored_labels=self.mirrored_labels,
                opener=self.opener,
            )
        return self._datasets[part]

    def loader(self, part: Part) -> ResumableLoader | ShardLoader:
        """A loader over one part, split over the processes of a distributed run."""
        dataset = self.dataset(part)
        training = part == "train"
        weights = None
        if training and self.balance:
            weights = balancing_weights(dataset.annotations.labels, len(dataset.annotations.classes))
        processes, rank = processes_and_rank()
        sampler = EpochSampler(
            dataset, shuffle=training, seed=self.seed, weights=weights, num_replicas=processes, rank=rank
        )
        return ResumableLoader(
            sampler,
            batch_size=self.batch_size,
            drop_last=training and len(sampler) > self.batch_size,
            num_workers=self.num_workers,
            persistent_workers=False,
            pin_memory=torch.cuda.is_available(),
        )

    def train_dataloader(self) -> ResumableLoader | ShardLoader:
        """Random clips, shuffled anew each epoch."""
        loader = self.loader("train")
        if self.trainer is not None:
            loader.place.learned = self._batches_learned
        return loader

    def val_dataloader(self) -> ResumableLoader | ShardLoader:
        """One centre view of every video."""
        return self.loader("val")

    def test_dataloader(self) -> ResumableLoader | ShardLoader:
        """All views of every video."""
        return self.loader("test")

    def predict_dataloader(self) -> DataLoader[dict[str, Tensor]] | ShardLoader:
        """All views of every video of the test part."""
        loader = self.loader("test")
        return plain_loader(loader) if isinstance(loader, ResumableLoader) else loader

    def on_before_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> dict[str, Tensor]:
        """Count the videos that a batch could not read; an epoch's are reported when the next one begins."""
        part = self._part_now()
        failed = batch.pop("failed", torch.empty(0, dtype=torch.int64))
        self.note_bad(part, (str(self.dataset(part).annotations.path(index)) for index in failed.tolist()))
        if part == "train" and len(failed) and not len(batch["label"]):
            batch = stand_in(self.dataset(part), failed)
            batch.pop("failed")
        return batch

    def note_bad(self, part: Part, videos: Iterable[str]) -> None:
        """Count the bad videos of a batch; those that Lightning only tries out at the start are counted later."""
        trainer = self.trainer
        self.bad_videos.begin(part, trainer.current_epoch if trainer else 0)
        if not (trainer and trainer.sanity_checking):
            for video in videos:
                self.bad_videos.add(part, video)

    def on_after_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> dict[str, Tensor]:
        """Mix a training batch, by draws that depend on the seed, the step and the process alone."""
        trainer = self.trainer
        if self.mixing is None or trainer is None or not trainer.training:
            return batch
        step = trainer.current_epoch * 1_000_003 + self._batches_learned()
        seed = (self.seed * 1_009 + step) * 1_013 + trainer.global_rank
        return self.mixing(batch, self.clip_spec, len(self.classes), seed)

    def _batches_learned(self) -> int:
        """Training batches of this epoch whose step was made."""
        progress: Any = self.trainer.fit_loop.epoch_loop.batch_progress.current if self.trainer else None
        return progress.processed if progress else 0

    def teardown(self, stage: str) -> None:
        """Report what the last epoch could not read."""
        self.bad_videos.report()

    def _part_now(self) -> Part:
        trainer = self.trainer
        if trainer is None or trainer.training:
            return "train"
        return "val" if trainer.validating or trainer.sanity_checking else "test"


def processes_and_rank() -> tuple[int, int]:
    """How many processes a distributed run has, and which this is."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_world_size(), distributed.get_rank()
    return 1, 0


def first_folder(root: Path, *names: str) -> Path:
    """The first of these folders below ``root`` that exists, else ``root`` itself."""
    return next((root / name for name in names if (root / name).is_dir()), root)


def only_present(listed: Annotations, name: str) -> Annotations:
    """The videos of a list that are on disk.

    Raises:
        AnnotationError: when there are none.
    """
    absent = listed.missing()
    if not absent:
        return listed
    first = listed.path(absent[0])
    if len(absent) == len(listed):
        raise AnnotationError(f"{name}: none of its {len(listed)} videos is on disk (the first would be {first})")
    warnings.warn(f"{name}: {len(absent)} of {len(listed)} videos are not on disk, first {first}", stacklevel=3)
    gone = set(absent)
    return listed.select([index for index in range(len(listed)) if index not in gone])
