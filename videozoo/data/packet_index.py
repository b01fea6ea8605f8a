"""Which packets a wanted frame needs: a table of a video's packets where these prove it, without decoding.

Provable are the common cases, progressive H.264 in an MP4, MOV or Matroska file and XviD in AVI: every packet holds one
whole picture, whose header says when it is displayed and whether others refer to it. Everything else is decoded from
the start. Damage is seen where it breaks a header, or a picture that is decoded.
"""

from bisect import bisect, insort
from dataclasses import dataclass

import av
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from videozoo.data.h264 import H264Headers
from videozoo.data.mpeg4 import Mpeg4Headers
from videozoo.data.picture_headers import Picture, UnclearError

HEADERS: dict[str, type[H264Headers] | type[Mpeg4Headers]] = {"h264": H264Headers, "mpeg4": Mpeg4Headers}
CONTAINERS = frozenset({"avi", "mov", "mp4", "matroska"})


@dataclass(frozen=True)
class Stretch:
    """A run of packets: the time to enter at, the places in the file of those to decode, and their display times."""

    entry: int
    packets: frozenset[int]
    times: list[int]


@dataclass(frozen=True)
class PacketIndex:
    """The packets of one stream in the file's order, one a frame.

    ``frame`` is each packet's place in display order; ``entry`` marks those from which decoding can begin;
    ``disposable`` those that no other picture refers to; ``pts`` their display times in the stream's time base;
    ``offset`` where they lie in the file, in bytes.
    """

    frame: NDArray[np.int64]
    pts: NDArray[np.int64]
    offset: NDArray[np.int64]
    entry: NDArray[np.bool_]
    disposable: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.frame)

    def stretches(self, frames: set[int]) -> list[Stretch]:
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
            packets = frozenset(self.offset[start : last + 1][used].tolist())
            stretches.append(Stretch(int(self.pts[start]), packets, sorted(self.pts[start : last + 1][used].tolist())))
        return stretches


def index_packets(container: InputContainer, stream: VideoStream) -> PacketIndex | None:
    """The table of a stream's packets, or None where one packet a frame, in the order of times, cannot be proven.

    Reads the whole file, decodes nothing, and leaves the container at its end.
    """
    context = stream.codec_context
    if context.name not in HEADERS or not CONTAINERS & set(container.format.name.split(",")):
        return None
    try:
        headers = HEADERS[context.name](bytes(context.extradata or b""))
        times, offsets, pictures = _read_headers(container, stream, headers)
    except (av.FFmpegError, UnclearError):
        return None
    if not pictures or not pictures[0].resets:
        return None
    resets = np.array([picture.resets for picture in pictures])
    orders = np.array([picture.order for picture in pictures], np.int64)
    display = np.lexsort((orders, np.cumsum(resets)))  # as a decoder shows them: a reset empties it first
    pts = np.array(times, np.int64)
    if not np.all(np.diff(pts[display]) > 0) or len(set(offsets)) < len(offsets):
        return None
    frame = np.empty(len(pts), np.int64)
    frame[display] = np.arange(len(pts))
    if _longest_wait(frame.tolist()) > context.reorder_depth:  # the decoder would drop pictures until it has learnt it
        return None
    entry = resets & (frame == np.arange(len(pts)))
    disposable = np.array([not picture.referred_to for picture in pictures])
    return PacketIndex(frame, pts, np.array(offsets, np.int64), entry, disposable)


def _read_headers(
    container: InputContainer, stream: VideoStream, headers: H264Headers | Mpeg4Headers
) -> tuple[list[int], list[int], list[Picture]]:
    """Display time, place in the file and header of every packet."""
    times, offsets, pictures = [], [], []
    syntax = None
    if isinstance(headers, H264Headers):  # a filter that changes nothing, but fails where a header is broken
        syntax = BitStreamFilterContext("h264_metadata", stream)
    for packet in container.demux(stream):
        if packet.size == 0 and packet.dts is None:
            continue  # the flushing packet at the end
        if packet.pts is None or packet.pos is None or packet.is_corrupt or packet.is_discard:
            raise UnclearError("a packet without a time or place, damaged, or not to be shown")
        pictures.append(headers.read(memoryview(packet)))
        times.append(packet.pts)
        offsets.append(packet.pos)
        if syntax is not None:
            syntax.filter(packet)  # takes the packet's contents
    return times, offsets, pictures


def _longest_wait(frame: list[int]) -> int:
    """How many later-displayed frames at most precede one in the file: what a decoder must hold back."""
    seen: list[int] = []
    longest = 0
    for place in frame:
        longest = max(longest, len(seen) - bisect(seen, place))
        insort(seen, place)
    return longest
