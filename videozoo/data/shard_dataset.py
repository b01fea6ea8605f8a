"""Videos streamed from sharded archives as training clips or test views."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from videozoo.clip_spec import ClipSpec, Views
from videozoo.data.annotations import Annotations
from videozoo.data.dataset import READABLE, OnError, Transform, VideoDataset, sample_generator
from videozoo.data.shards import read_index, shard_stream
from videozoo.errors import SettingError, VideoError

SHUFFLE_WINDOW = 100  # videos held in memory by each worker


class ShardDataset(IterableDataset[dict[str, Tensor]]):
    """The videos of a folder of shards, in the order of the archives or shuffled anew each epoch.

    An unreadable video leaves its place empty (``on_error`` skip), or stops (raise): a stream has no other of its class
    at hand. The clips of a video depend on the seed, the epoch and its index alone.
    """

    def __init__(
        self,
        folder: Path,
        spec: ClipSpec,
        *,
        training: bool,
        views: Views | None = None,
        on_error: OnError = "skip",
        seed: int = 0,
        transform: Transform | None = None,
    ) -> None:
        if on_error not in ("skip", "raise"):
            raise SettingError(f"on_error {on_error!r}: allowed for shards are skip, raise")
        self.folder = folder
        self.index = read_index(folder)
        self.seed = seed
        self.epoch = 0
        self.on_error = on_error
        self.training = training
        nothing = Annotations.build(folder, self.index.classes, [], [])
        self.reader = VideoDataset(nothing, spec, training=training, views=views, seed=seed, transform=transform)

    def set_epoch(self, epoch: int) -> None:
        """Draw other clips and another order from now on."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        shuffle = SHUFFLE_WINDOW if self.training else 0
        for video in shard_stream(self.folder, self.index, shuffle=shuffle, seed=self.seed, epoch=self.epoch):
            yield self._sample(video)

    def _sample(self, video: dict[str, Any]) -> dict[str, Tensor]:
        index = video["index"]
        with NamedTemporaryFile(suffix=f".{video['suffix']}") as file:  # decoders seek in files by name
            file.write(video["video"])
            file.flush()
            try:
                generator = sample_generator(self.seed, self.epoch, index)
                clip, _ = self.reader.clip_of(Path(file.name), None, generator)
            except VideoError:
                if self.on_error == "raise":
                    raise
                return {"failed": torch.tensor(index)}
        label = torch.tensor(video["label"])
        return {"clip": clip, "label": label, "index": torch.tensor(index), "failed": torch.tensor(READABLE)}
