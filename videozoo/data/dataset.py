"""Videos of a list as training clips or test views, whatever is wrong with some of the files."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset

from videozoo.clip_spec import ClipSpec, Views
from videozoo.data.annotations import Annotations
from videozoo.data.frame_source import FrameSource, open_video
from videozoo.data.reading import source_views
from videozoo.data.sampler import NOTHING
from videozoo.data.sampling import sample_indices
from videozoo.data.transforms import default_train_transform
from videozoo.errors import SettingError, VideoError

OnError = Literal["skip", "replace", "raise"]
Transform = Callable[[Tensor, ClipSpec, torch.Generator], tuple[Tensor, bool]]
ATTEMPTS = 8  # replacements tried for one bad video before its place in the batch stays empty
STAND_INS = 100  # videos tried in the place of a whole batch
READABLE = -1  # in ``failed`` of a sample: the video that was asked for is there


class VideoDataset(Dataset[dict[str, Tensor]]):
    """Labelled videos as clips (training) or views (evaluation).

    ``dataset[epoch, index]`` draws everything random from (seed, epoch, index), so any worker makes the same clip. What
    becomes of a video that cannot be read is said by ``on_error``: ``replace`` takes another of its class (in training;
    a test is never falsified so, there it acts as skip), ``skip`` leaves it out of the batch, ``raise`` stops. A
    sample's ``failed`` is the place of the bad video that was asked for, or -1; a sample without ``clip`` is to be left
    out. ``mirrored_labels`` (K,) says what each class becomes when a clip is mirrored.
    """

    def __init__(
        self,
        annotations: Annotations,
        spec: ClipSpec,
        *,
        training: bool,
        views: Views | None = None,
        on_error: OnError = "replace",
        seed: int = 0,
        transform: Transform | None = None,
        mirrored_labels: Tensor | None = None,
        opener: Callable[[Path], FrameSource] = open_video,
    ) -> None:
        if on_error not in ("skip", "replace", "raise"):
            raise SettingError(f"on_error {on_error!r}: allowed are skip, replace, raise")
        self.annotations = annotations
        self.spec = spec
        self.training = training
        self.views = views or Views(average=spec.views.average)
        self.on_error = on_error
        self.seed = seed
        self.transform = transform or default_train_transform(spec)
        self.mirrored_labels = mirrored_labels
        self.opener = opener

    def __len__(self) -> int:
        return len(self.annotations)

    def __getitem__(self, place: int | tuple[int, int]) -> dict[str, Tensor]:
        epoch, wanted = place if isinstance(place, tuple) else (0, place)
        if wanted == NOTHING:
            return {"failed": torch.tensor(READABLE)}
        generator = sample_generator(self.seed, epoch, wanted)
        index, failed = wanted, READABLE
        for _ in range(ATTEMPTS):
            try:
                return {**self.sample(index, generator), "failed": torch.tensor(failed)}
            except VideoError:
                if self.on_error == "raise":
                    raise
                failed = wanted
                if self.on_error == "skip" or not self.training:
                    break
                index = self._another_of_its_class(index, generator)
        return {"failed": torch.tensor(failed)}

    def sample(self, index: int, generator: torch.Generator) -> dict[str, Tensor]:
        """One video's clip or views, its label and its place.

        Raises:
            VideoError: when the file cannot be read.
        """
        clip, mirrored = self.clip_of(self.annotations.path(index), self.annotations.span(index), generator)
        label = self.annotations.labels[index]
        if mirrored and self.mirrored_labels is not None:
            label = self.mirrored_labels[label]
        return {"clip": clip, "label": label, "index": torch.tensor(index)}

    def clip_of(self, path: Path, span: tuple[float, float] | None, generator: torch.Generator) -> tuple[Tensor, bool]:
        """Clip or views of a file, or of a span of it in seconds, and whether they were mirrored."""
        with self.opener(path) as reader:
            first, count = _span_frames(span, reader.frame_count, reader.fps)
            if not self.training:
                return source_views(reader, self.spec, self.views, first=first, count=count), False
            chosen = sample_indices(self.spec, count, reader.fps, generator=generator)[0]
            return self.transform(reader.frames([first + i for i in chosen]), self.spec, generator)

    def _another_of_its_class(self, index: int, generator: torch.Generator) -> int:
        labels = self.annotations.labels
        same = (labels == labels[index]) if labels.dim() == 1 else (labels == labels[index]).all(dim=1)
        others = torch.nonzero(same).flatten()
        return int(others[torch.randint(len(others), (), generator=generator)])


def stand_in(dataset: VideoDataset, failed: Tensor) -> dict[str, Tensor]:
    """A batch of one readable video in the place of a training batch without any: every process must make its step.

    Raises:
        VideoError: when none of the next videos in the list can be read either.
    """
    first = int(failed[0])
    for step in range(1, STAND_INS + 1):
        index = (first + step) % len(dataset)
        try:
            return collate(
                [{**dataset.sample(index, sample_generator(dataset.seed, 0, index)), "failed": torch.tensor(READABLE)}]
            )
        except VideoError as error:
            problem = error
    raise VideoError(f"no video of a batch could be read, nor {STAND_INS} others; the last: {problem}")


def sample_generator(seed: int, epoch: int, index: int) -> torch.Generator:
    """The randomness of one sample, the same in every process."""
    return torch.Generator().manual_seed((seed * 1_000_003 + epoch) * 1_000_000_007 % 2**61 + index)


def _span_frames(span: tuple[float, float] | None, count: int, fps: float) -> tuple[int, int]:
    """First frame and number of frames of a span in seconds, at least one frame and inside the file."""
    if span is None:
        return 0, count
    start, end = span
    first = min(int(start * fps), count - 1)
    last = max(min(end * fps, count), first + 1)
    return first, round(last) - first


def collate(samples: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """A batch of the readable samples; ``failed`` lists the places of those that were not.

    A batch without any readable sample has ``clip`` and ``label`` of length 0.
    """
    failed = torch.stack([sample["failed"] for sample in samples])
    good = [sample for sample in samples if "clip" in sample]
    batch = {key: torch.stack([sample[key] for sample in good]) for key in ("clip", "label", "index") if good}
    if not good:
        none = torch.empty(0, dtype=torch.int64)
        batch = {"clip": torch.empty(0), "label": none, "index": none}
    return {**batch, "failed": failed[failed != READABLE]}
