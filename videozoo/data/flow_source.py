"""Reading stored flow as 8-bit fields, whichever way it was written."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from videozoo.data.decoding import VideoReader
from videozoo.errors import VideoError


class FlowFolder:
    """Flow of one video as pictures ``flow_x_00001.jpg``, ``flow_y_00001.jpg``; field i lies between frames i, i + 1.

    Raises:
        VideoError: when the folder holds no such pictures, or not as many of x as of y.
    """

    def __init__(self, path: Path, *, fps: float = 30.0) -> None:
        self.path = path
        self.fps = fps
        self._pictures = [sorted(path.glob(f"flow_{axis}_*.jpg")) for axis in "xy"]
        x, y = map(len, self._pictures)
        if not x or x != y:
            raise VideoError(f"{path}: {x} pictures flow_x_*.jpg and {y} flow_y_*.jpg, must be equally many")

    def __enter__(self) -> "FlowFolder":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held open."""

    @property
    def frame_count(self) -> int:
        """How many fields there are, one fewer than the video has frames."""
        return len(self._pictures[0])

    def frames(self, indices: Sequence[int], *, change: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Fields by number, each (2, H, W) passed through ``change``. Shape: uint8 (T, 2, H, W).

        Raises:
            VideoError: for a number that no field has, and for a damaged picture.
        """
        for index in indices:
            if not 0 <= index < self.frame_count:
                raise VideoError(f"{self.path}: flow {index} was asked for, there are {self.frame_count}")
        fields = (torch.stack([_read(axis[index]) for axis in self._pictures]) for index in indices)
        return torch.stack([field if change is None else change(field) for field in fields])


class FlowVideo:
    """Flow of one video as one file, its pictures x above y."""

    def __init__(self, path: Path) -> None:
        self._reader = VideoReader(path)
        self.fps = self._reader.fps

    def __enter__(self) -> "FlowVideo":
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.close()

    @property
    def frame_count(self) -> int:
        """How many fields there are, one fewer than the video has frames."""
        return self._reader.frame_count

    def frames(self, indices: Sequence[int], *, change: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Fields by number, each (2, H, W) passed through ``change``. Shape: uint8 (T, 2, H, W)."""

        def field(picture: Tensor) -> Tensor:
            halves = picture[0].unflatten(0, (2, -1))  # grey: the three colours are equal
            return halves if change is None else change(halves)

        return self._reader.frames(indices, change=field)


def open_flow(path: Path) -> FlowFolder | FlowVideo:
    """The stored flow of one video: a folder of pictures, or a file.

    Raises:
        VideoError: when it is neither.
    """
    return FlowFolder(path) if path.is_dir() else FlowVideo(path)


def _read(picture: Path) -> Tensor:
    try:
        with Image.open(picture) as image:
            return torch.from_numpy(np.array(image.convert("L")))
    except OSError as error:
        raise VideoError(f"{picture}: not a readable picture ({error})") from error
