"""The user's own videos for digits to move over; the two parts use different files."""

import glob
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from videozoo.data.decoding import VideoReader
from videozoo.data.digit_glyphs import Part
from videozoo.data.digit_textures import BRIGHTEST
from videozoo.data.video_files import find_video_files
from videozoo.errors import SettingError

TEST_SHARE = 4  # the last of this many equal parts of the sorted list of videos is the test part's


class VideoBackgrounds:
    """A random stretch of a random video, a square cut out of it, darkened a little.

    ``source`` is a folder, searched below too, or a glob pattern. The sorted list is cut in two: its first three
    quarters serve the train part, the rest the test part, so that neighbours (clips of one scene) stay together.

    Raises:
        SettingError: when there are fewer than two videos.
    """

    def __init__(self, source: str | Path, part: Part) -> None:
        if Path(source).is_dir():
            files = find_video_files(Path(source))
        else:
            files = sorted(path for path in map(Path, glob.glob(str(source), recursive=True)) if path.is_file())
        if len(files) < 2:
            raise SettingError(f"{source}: {len(files)} background videos; at least 2 are needed, one for each part")
        first_of_test = min(len(files) - 1, -(-len(files) * (TEST_SHARE - 1) // TEST_SHARE))
        self.files = files[:first_of_test] if part == "train" else files[first_of_test:]

    def __call__(self, frames: int, size: int, rng: np.random.Generator) -> Tensor:
        """Pixels in 0..255, uint8; a shorter video is played to and fro. Shape: (frames, 3, size, size)."""
        with VideoReader(self.files[rng.integers(len(self.files))]) as reader:
            count = reader.frame_count
            there_and_back = [*range(count), *range(count - 2, 0, -1)]
            start = int(rng.integers(max(count - frames, 0) + 1))
            wanted = [there_and_back[(start + place) % len(there_and_back)] for place in range(frames)]
            distinct = sorted(set(wanted))
            video = reader.frames(distinct)[[distinct.index(frame) for frame in wanted]]
        side = min(video.shape[-2:])
        top, left = (int(rng.integers(length - side + 1)) for length in video.shape[-2:])
        square = video[..., top : top + side, left : left + side].float()
        square = F.interpolate(square, size=(size, size), mode="bilinear", antialias=True)
        return (square * BRIGHTEST).round().clamp(0, 255).to(torch.uint8)
