"""Where the frames of one video come from: a file, or a folder of pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

from torch import Tensor

from videozoo.data.decoding import VideoReader
from videozoo.data.frame_folder import FrameFolder


class FrameSource(Protocol):
    """An open video: how many frames decode, how fast they are shown, and any of them."""

    @property
    def frame_count(self) -> int:
        """How many frames there are."""

    @property
    def fps(self) -> float:
        """Frames a second."""

    def frames(self, indices: Sequence[int], *, change: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Frames at these places, each (C, H, W) passed through ``change``. Shape: uint8 (T, C, H, W)."""

    def __enter__(self) -> "FrameSource": ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


def open_video(path: Path, *, frame_rate: float = 12.0) -> FrameSource:
    """A reader for a video file, or for a folder of pictures shown at ``frame_rate`` a second.

    Raises:
        VideoError: when it is neither.
    """
    return FrameFolder(path, fps=frame_rate) if path.is_dir() else VideoReader(path)
