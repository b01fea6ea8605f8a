"""Decoded frames that wait whether a clip needs them, most of which none does."""

from collections import deque
from collections.abc import Callable
from weakref import ReferenceType, ref

from av.video.frame import VideoFrame
from torch import Tensor

from videozoo.data.playback import as_displayed

DECODED_BYTES = 192 << 20  # of frames as the decoder gave them, two seconds of 1080p; older ones are converted


class Picture:
    """A frame that becomes a tensor when it is asked for, once."""

    def __init__(self, frame: VideoFrame, size: tuple[int, int], change: Callable[[Tensor], Tensor]) -> None:
        self._frame: VideoFrame | None = frame
        self._size = size
        self._change = change
        self._tensor: Tensor | None = None

    def tensor(self) -> Tensor:
        """The frame as displayed, changed. Shape: uint8 RGB (3, H, W)."""
        if self._tensor is None:
            assert self._frame is not None
            self._tensor = self._change(as_displayed(self._frame, self._size))
            self._frame = None
        return self._tensor


class HeldPictures:
    """Pictures for as long as someone holds them, in bounded memory: the oldest beyond it are converted unasked.

    Converting (to RGB, to the size of a clip) costs as much as decoding, and a clip of 8 frames leaves out most of a
    window's. All are scaled to the size of the first, as a file's are.
    """

    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        self._change = change
        self._size: tuple[int, int] | None = None
        self._waiting: deque[tuple[int, ReferenceType[Picture]]] = deque()
        self._bytes = 0

    def add(self, frame: VideoFrame) -> Picture:
        """A frame to hold on to."""
        self._size = self._size or (frame.width, frame.height)
        picture = Picture(frame, self._size, self._change)
        count = sum(plane.buffer_size for plane in frame.planes)
        self._waiting.append((count, ref(picture)))
        self._bytes += count
        while self._bytes > DECODED_BYTES:
            count, oldest = self._waiting.popleft()
            self._bytes -= count
            if (held := oldest()) is not None:
                held.tensor()
        return picture
