"""Which packets a wanted frame needs: a table of a video's packets where these prove it, without decoding.

Provable is the common case, H.264 or HEVC in an MP4, MOV or Matroska file: every packet holds one whole picture, says
whether later pictures refer to it, and carries its display time. Everything else is decoded from the start.
"""

from dataclasses import dataclass

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

CONTAINERS = frozenset({"mov", "mp4", "matroska"})
# Codec -> NAL unit types of a slice, and of a slice of a picture that resets all references (IDR).
SLICES = {"h264": frozenset({1, 5}), "hevc": frozenset(range(10)) | frozenset(range(16, 22))}
RESETS = {"h264": frozenset({5}), "hevc": frozenset({19, 20})}


@dataclass(frozen=True)
class Stretch:
    """A run of packets: where to enter, and which of them (by display time) to decode."""

    entry: int
    packets: set[int]


@dataclass(frozen=True)
class PacketIndex:
    """The packets of one stream in the file's order, one a frame.

    ``frame`` is each packet's place in display order; ``entry`` marks those from which decoding can begin;
    ``disposable`` those that no other picture refers to; ``pts`` their display times in the stream's time base.
    """

    frame: NDArray[np.int64]
    pts: NDArray[np.int64]
    entry: NDArray[np.bool_]
    disposable: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.frame)

    def stretches(self, frames: set[int]) -> list["Stretch"]:
        """What to decode for these frames: from the nearest entry before each, nothing twice, nothing after."""
        position = np.empty(len(self), np.int64)
        position[self.frame] = np.arange(len(self))
        wanted = np.sort(position[sorted(frames)])
        entries = np.flatnonzero(self.entry)
        starts = entries[np.searchsorted(entries, wanted, side="right") - 1]
        stretches = []
        for start in np.unique(starts).tolist():
            last = int(wanted[starts == start].max())
            used = ~self.disposable[start : last + 1]
            used[wanted[starts == start] - start] = True
            stretches.append(Stretch(int(self.pts[start]), {int(t) for t in self.pts[start : last + 1][used]}))
        return stretches


def index_packets(container: InputContainer, stream: VideoStream) -> PacketIndex | None:
    """The table of a stream's packets, or None where one packet a frame cannot be proven.

    Reads the whole file, decodes nothing, and leaves the container at its end.
    """
    codec = stream.codec_context.name
    extradata = stream.codec_context.extradata
    if codec not in SLICES or not CONTAINERS & set(container.format.name.split(",")):
        return None
    # Extradata that begins with 1 announces pictures as length-prefixed units, which can be walked through.
    if not extradata or len(extradata) < 22 or extradata[0] != 1:
        return None
    length_size = (extradata[4] if codec == "h264" else extradata[21]) % 4 + 1
    pts: list[int] = []
    entry: list[bool] = []
    disposable: list[bool] = []
    try:
        for packet in container.demux(stream):
            if packet.size == 0 and packet.dts is None:
                continue  # the flushing packet at the end
            picture = _inspect(memoryview(packet), codec, length_size)
            if picture is None or packet.pts is None or packet.is_corrupt or packet.is_discard:
                return None
            pts.append(packet.pts)
            entry.append(picture.resets)
            disposable.append(picture.disposable)
    except av.FFmpegError:
        return None
    times = np.array(pts, np.int64)
    if not pts or not entry[0] or len(np.unique(times)) < len(times):
        return None
    frame = np.empty(len(pts), np.int64)
    frame[np.argsort(times)] = np.arange(len(pts))
    entries = np.array(entry)
    # A picture shown before the entry that it follows in the file may need what came before: no entry then.
    later_minimum = np.minimum.accumulate(frame[::-1])[::-1]
    entries &= later_minimum == frame
    return PacketIndex(frame, times, entries, np.array(disposable)) if entries[0] else None


@dataclass(frozen=True)
class _Picture:
    resets: bool
    disposable: bool


def _inspect(data: memoryview, codec: str, length_size: int) -> _Picture | None:
    """What a packet of length-prefixed units holds; None unless it is exactly one sound picture."""
    place, slices, resets, disposable = 0, 0, True, True
    while place < len(data):
        length = int.from_bytes(data[place : place + length_size], "big")
        place += length_size
        if length == 0 or place + length > len(data):
            return None
        header = data[place]
        if header & 0x80:  # a bit that is never set
            return None
        kind = header & 0x1F if codec == "h264" else header >> 1 & 0x3F
        if kind in SLICES[codec]:
            slices += 1
            resets &= kind in RESETS[codec]
            # H.264 says so in nal_ref_idc; in HEVC even types below 16 are not referred to in their own layer.
            disposable &= (header & 0x60 == 0) if codec == "h264" else (kind < 16 and kind % 2 == 0)
        place += length
    return _Picture(resets, disposable and not resets) if slices else None
