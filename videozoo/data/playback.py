"""Decoding from one end to the other: frames in the order of display, damage skipped, pictures as displayed."""

from collections.abc import Iterator

import av
import numpy as np
import torch
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray
from torch import Tensor

from videozoo.data.container import reason


class Playback:
    """The frames of an open video stream, from where it stands to its end, or to where it breaks off.

    ``frames`` counts them, ``damaged`` the packets that did not decode; ``break_off`` is FFmpeg's reason where reading
    ended with an error.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self.frames = 0
        self.damaged = 0
        self.break_off: str | None = None
        self._packets = container.demux(stream)

    def __iter__(self) -> Iterator[VideoFrame]:
        for packet in self._sound_packets():
            try:
                decoded = packet.decode()
            except av.FFmpegError:
                self.damaged += 1
                continue
            self.frames += len(decoded)
            yield from decoded

    @property
    def damage(self) -> str | None:
        """What to say of packets that did not decode."""
        if not self.damaged:
            return None
        return f"{self.damaged} damaged packets were skipped, {self.frames} frames decode"

    @property
    def cut_off(self) -> str | None:
        """What to say of a file that broke off."""
        return None if self.break_off is None else f"the file ends in the middle of a packet ({self.break_off})"

    def _sound_packets(self) -> "Iterator[Packet[VideoStream]]":
        while True:
            try:
                yield next(self._packets)
            except StopIteration:
                return
            except av.FFmpegError as error:
                self.break_off = reason(error)
                return


def as_displayed(frame: VideoFrame, size: tuple[int, int] | None = None) -> Tensor:
    """A frame scaled to ``size`` (stored width, height), then turned. Shape: uint8 RGB (3, H, W), channels last."""
    width, height = size or (frame.width, frame.height)
    picture: NDArray[np.uint8]
    picture = frame.to_ndarray(format="rgb24", width=width, height=height, threads=1)  # type: ignore[assignment]
    if turn := quarter_turns(frame):
        picture = np.ascontiguousarray(np.rot90(picture, turn))
    return torch.from_numpy(picture).permute(2, 0, 1)


def quarter_turns(frame: VideoFrame) -> int:
    """Quarters by which a picture is turned, counter-clockwise, to be displayed; another angle is ignored."""
    turns = round(frame.rotation / 90)
    return turns if abs(frame.rotation - 90 * turns) <= 1 else 0
