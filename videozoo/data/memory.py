"""Small sets of videos kept in memory: decoded and resized once, sampled anew each epoch."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor

from videozoo.clip_spec import ClipSpec
from videozoo.data.frame_source import FrameSource, open_video
from videozoo.data.transforms import resize_short_side
from videozoo.errors import VideoError


class HeldVideo:
    """The interface of VideoReader over frames in memory, uint8 (T, C, H, W)."""

    def __init__(self, frames: Tensor, fps: float) -> None:
        self.held = frames
        self.fps = fps
        self.frame_count = len(frames)

    def __enter__(self) -> "HeldVideo":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held open."""

    def frames(self, indices: Sequence[int], *, change: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Frames at these places, passed through ``change`` all at once. Shape: uint8 (T, C, H, W)."""
        frames = self.held[list(indices)]
        return frames if change is None else change(frames)


class VideoMemory:
    """Opens videos like open_video, and keeps every frame of each at the short side of a ClipSpec.

    A video that cannot be read is remembered as such. Worker processes fill a memory of their own unless it was filled
    before they started: use it with ``num_workers=0`` or fill it first.
    """

    def __init__(self, spec: ClipSpec, preprocess: Callable[[Tensor], Tensor] | None = None) -> None:
        self.spec = spec
        self.preprocess = preprocess
        self._videos: dict[Path, HeldVideo | VideoError] = {}

    def __call__(self, path: Path) -> FrameSource:
        if path not in self._videos:
            try:
                self._videos[path] = self._read(path)
            except VideoError as error:
                self._videos[path] = error
        video = self._videos[path]
        if isinstance(video, VideoError):
            raise video
        return video

    def _read(self, path: Path) -> HeldVideo:
        with open_video(path) as reader:
            frames = reader.frames(range(reader.frame_count))
            if self.preprocess is not None:
                frames = self.preprocess(frames)
            return HeldVideo(resize_short_side(frames, self.spec.resize, antialias=self.spec.antialias), reader.fps)


def available_memory() -> int:
    """Bytes that this process may still take: what the system has free, and what a container's limit leaves."""
    free = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2] if hasattr(os, "sysconf") else [2**31]
    information, limit, used = (
        Path(name) for name in ("/proc/meminfo", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current")
    )
    if information.is_file():
        lines = dict(line.split(":", 1) for line in information.read_text().splitlines())
        free = [1024 * int(lines["MemAvailable"].split()[0])] if "MemAvailable" in lines else free
    if limit.is_file() and used.is_file() and (text := limit.read_text().strip()).isdigit():
        free.append(int(text) - int(used.read_text()))
    return max(min(free), 0)
