"""A moving-digits set as settings, and its videos as clips for a network."""

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from rich.progress import track
from torch import Tensor
from torch.utils.data import Dataset
from torchvision.transforms.v2 import functional as TF

from videozoo.clip_spec import ClipSpec
from videozoo.data.dataset import READABLE, sample_generator
from videozoo.data.digit_glyphs import Glyphs, Part
from videozoo.data.digit_textures import Textures
from videozoo.data.digit_video_backgrounds import VideoBackgrounds
from videozoo.data.mnist import MnistDigits
from videozoo.data.moving_digits import (
    REFERENCE_SIZE,
    BackgroundSource,
    DigitSource,
    DigitVideo,
    check_video_settings,
    make_video,
)
from videozoo.data.sampler import NOTHING
from videozoo.data.sampling import sample_indices
from videozoo.data.transforms import normalise, resize_short_side
from videozoo.errors import SettingError

FPS = 16.0


@dataclass(frozen=True)
class DigitSet:
    """One part of a moving-digits set: its video ``index`` is the same on every call and in every process.

    ``mnist`` is a folder with the idx files, ``backgrounds`` a folder or glob pattern of videos; without them digits
    and backgrounds are drawn. ``size`` is the canvas in pixels.
    """

    seed: int = 0
    part: Part = "train"
    frames: int = 32
    size: int = REFERENCE_SIZE
    mnist: str | None = None
    backgrounds: str | None = None

    def __post_init__(self) -> None:
        check_video_settings(self.seed, self.frames, self.size)
        if self.part not in ("train", "test"):
            raise SettingError(f"part {self.part!r}: allowed are train and test")

    @cached_property
    def digit_source(self) -> DigitSource:
        """Where the digits come from."""
        return MnistDigits(self.mnist, self.part) if self.mnist else Glyphs(self.part)

    @cached_property
    def background_source(self) -> BackgroundSource:
        """Where the backgrounds come from."""
        return VideoBackgrounds(self.backgrounds, self.part) if self.backgrounds else Textures(self.part)

    def video(self, index: int) -> DigitVideo:
        """Make one video."""
        return make_video(
            self.seed,
            index,
            self.part,
            frames=self.frames,
            size=self.size,
            digits=self.digit_source,
            backgrounds=self.background_source,
        )


class DigitClips(Dataset[dict[str, Tensor]]):
    """Videos ``first`` to ``first + videos`` of a set as clips of a ClipSpec; batch dicts as in videozoo.clip_spec.

    Made videos are kept, resized, as bytes: the second epoch only samples and normalises. ``dataset[epoch, index]``
    draws the frames of a training clip at random from (seed, epoch, index), evaluation takes the centres. In the first
    ``relevant_epochs`` training clips are drawn from the relevant frames alone, an easier task to begin with. Nothing
    is mirrored: left would become right.
    """

    def __init__(
        self,
        digits: DigitSet,
        videos: int,
        spec: ClipSpec,
        *,
        first: int = 0,
        training: bool,
        relevant_epochs: int = 0,
    ) -> None:
        if videos < 1:
            raise SettingError(f"videos {videos}: a moving-digits set needs at least 1")
        self.digits = digits
        self.first = first
        self.training = training
        self.relevant_epochs = relevant_epochs
        self._pixels = torch.empty(videos, digits.frames, 3, spec.resize, spec.resize, dtype=torch.uint8)
        self._labels = torch.full((videos,), -1)
        self._relevance = torch.zeros(videos, digits.frames, dtype=torch.bool)
        self.show(spec)

    def show(self, spec: ClipSpec) -> None:
        """Make clips of this spec from now on, of the same videos; evaluation takes as many frames as its views do.

        Raises:
            SettingError: when the videos are kept at another size.
        """
        if spec.resize != self._pixels.shape[-1]:
            raise SettingError(f"resize {spec.resize}: these videos are kept at {self._pixels.shape[-1]} pixels")
        frames = None if self.training else spec.views.frames
        self.spec = replace(spec, frames=frames or spec.frames)

    def __len__(self) -> int:
        return len(self._labels)

    def fill(self, *, description: str = "making digits", quiet: bool = False) -> None:
        """Make all videos now, so that loader workers inherit them instead of each making its own."""
        for place in track(range(len(self)), description=description, disable=quiet, transient=True):
            self._video(place)

    def __getitem__(self, place: int | tuple[int, int]) -> dict[str, Tensor]:
        epoch, index = place if isinstance(place, tuple) else (0, place)
        if index == NOTHING:
            return {"failed": torch.tensor(READABLE)}
        generator = sample_generator(self.digits.seed, epoch, index) if self.training else None
        frames, label, relevance = self._video(index)
        if self.training and epoch < self.relevant_epochs:
            frames = frames[relevance]
        chosen = sample_indices(self.spec, len(frames), FPS, generator=generator)[0]
        clip = TF.center_crop(frames[chosen], [self.spec.size, self.spec.size])
        return {
            "clip": normalise(clip, self.spec),
            "label": label,
            "index": torch.tensor(index),
            "failed": torch.tensor(READABLE),
        }

    def _video(self, place: int) -> tuple[Tensor, Tensor, Tensor]:
        """Frames (T, 3, resize, resize), label and relevance (T,), made on the first call."""
        if not 0 <= place < len(self):
            raise IndexError(place)  # ends iteration over a map-style data set
        if self._labels[place] < 0:
            video = self.digits.video(self.first + place)
            self._pixels[place] = resize_short_side(video.frames, self.spec.resize, antialias=self.spec.antialias)
            self._relevance[place] = video.relevance
            self._labels[place] = video.label
        return self._pixels[place], self._labels[place], self._relevance[place]
