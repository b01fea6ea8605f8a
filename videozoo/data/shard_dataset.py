"""Videos streamed from sharded archives as training clips or test views."""

from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from videozoo.clip_spec import ClipSpec, Views
from videozoo.data.annotations import Annotations
from videozoo.data.dataset import ATTEMPTS, READABLE, STAND_INS, OnError, Transform, VideoDataset, sample_generator
from videozoo.data.shards import StoredVideo, place_of, read_index, shard_stream
from videozoo.errors import VideoError

SHUFFLE_WINDOW = 100  # videos held in memory by each worker, once to shuffle and once to replace bad ones
UNKNOWN = -2  # in ``failed`` of a sample: a shard, or something in it, that is no video of the list

Sample = dict[str, Any]


class ShardDataset(IterableDataset[Sample]):
    """The videos of one part's shards, in the order of the archives or shuffled anew each epoch.

    The clips of a video depend on the seed, the epoch and its index alone, the order of the videos also on the number
    of processes and workers. ``on_error`` is VideoDataset's, but a stream replaces a bad video only by one of its class
    that it read a while before; where it saw none, the place stays empty. ``start`` leaves the first samples of the
    next epoch out, without decoding them: a resumed one. Samples of bad videos say in ``problem`` which it was.
    """

    def __init__(
        self,
        root: str | Path,
        part: str,
        spec: ClipSpec,
        *,
        training: bool,
        views: Views | None = None,
        on_error: OnError = "replace",
        seed: int = 0,
        transform: Transform | None = None,
        mirrored_labels: Tensor | None = None,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        self.root = str(root)
        self.part = part
        self.index = read_index(self.root, part)
        self.seed = seed
        self.epoch = 0
        self.start = 0
        self.on_error = on_error
        self.training = training
        self.mirrored_labels = mirrored_labels
        self.num_replicas = num_replicas
        self.rank = rank
        nothing = Annotations.build(Path(), self.index.classes, [], [])
        self.reader = VideoDataset(
            nothing, spec, training=training, views=views, on_error=on_error, seed=seed, transform=transform
        )

    def set_epoch(self, epoch: int) -> None:
        """Draw other clips and another order from now on."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Sample]:
        recent: deque[StoredVideo] = deque(maxlen=SHUFFLE_WINDOW)
        left_out = self._left_out()
        for place, video in enumerate(self._stream()):
            if place < left_out:
                yield {"failed": torch.tensor(READABLE)}
            else:
                yield self._sample(video, recent)
            if isinstance(video, StoredVideo):
                recent.append(video)

    def stand_in(self) -> Sample:
        """The first readable video of this process, for a training batch without any: every one must make its step.

        Raises:
            VideoError: when none of the first videos can be read.
        """
        problem: object = "they hold no video"
        for video in islice(self._stream(), STAND_INS):
            try:
                return self._clip(video)
            except VideoError as error:
                problem = error
        raise VideoError(f"{self.root}, {self.part}: no video of a batch could be read, nor the first ones; {problem}")

    def _shards(self) -> list[tuple[str, int]]:
        """Address and number of videos of this process's shards, in the order of this epoch."""
        shards = [(place_of(self.root, f"{self.part}/{name}"), count) for name, count in self.index.shards]
        if self.training:
            generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
            shards = [shards[place] for place in torch.randperm(len(shards), generator=generator).tolist()]
        return shards[self.rank :: self.num_replicas]

    def _stream(self) -> Iterator[StoredVideo | VideoError]:
        window = SHUFFLE_WINDOW if self.training else 0
        addresses = [address for address, _ in self._shards()]
        return shard_stream(addresses, shuffle=window, seed=self.seed, epoch=self.epoch)

    def _left_out(self) -> int:
        """How many of this worker's samples are among the first ``start``, which a loader takes from each in turn."""
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        counts = [count for _, count in self._shards()]
        held = [sum(counts[place::workers]) for place in range(workers)]
        turns = 0
        while turns < held[number]:  # samples that all workers give before this one gives its number ``turns``
            before = sum(min(count, turns + (place < number)) for place, count in enumerate(held))
            if before >= self.start:
                break
            turns += 1
        return turns

    def _sample(self, video: StoredVideo | VideoError, recent: deque[StoredVideo]) -> Sample:
        """The clip, or that of another video of its class in its place, or an empty place."""
        try:
            return self._clip(video)
        except VideoError as error:
            if self.on_error == "raise":
                raise
            failed = torch.tensor(video.index if isinstance(video, StoredVideo) else UNKNOWN)
            bad = {"failed": failed, "problem": video.name if isinstance(video, StoredVideo) else str(error)}
        if self.on_error == "replace" and self.training and isinstance(video, StoredVideo):
            return {**self._another(video, recent), **bad}
        return bad

    def _another(self, bad: StoredVideo, recent: deque[StoredVideo]) -> Sample:
        same = [video for video in recent if video.label == bad.label]
        generator = sample_generator(self.seed, self.epoch, bad.index)
        for place in torch.randperm(len(same), generator=generator)[:ATTEMPTS].tolist():
            try:
                return self._clip(same[place])
            except VideoError:
                continue
        return {}

    def _clip(self, video: StoredVideo | VideoError) -> Sample:
        if isinstance(video, VideoError):
            raise video
        if not 0 <= video.label < len(self.index.classes):
            raise VideoError(f"{video.name}: label {video.label}, there are {len(self.index.classes)} classes")
        with NamedTemporaryFile(suffix=f".{video.suffix}") as file:  # decoders seek in files by name
            file.write(video.content)
            file.flush()
            try:
                generator = sample_generator(self.seed, self.epoch, video.index)
                clip, mirrored = self.reader.clip_of(Path(file.name), None, generator)
            except VideoError as error:
                raise VideoError(str(error).replace(file.name, video.name)) from error
        label = torch.tensor(video.label)
        if mirrored and self.mirrored_labels is not None:
            label = self.mirrored_labels[label]
        return {"clip": clip, "label": label, "index": torch.tensor(video.index), "failed": torch.tensor(READABLE)}
