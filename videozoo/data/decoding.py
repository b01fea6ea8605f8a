"""Reading video with PyAV: frame i is the i-th frame that sequential decoding yields, whatever headers claim."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from os import PathLike, fspath
from types import TracebackType

import av
import torch
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from torch import Tensor

from videozoo.data.container import check_size, frame_rate, open_stream
from videozoo.data.packet_index import PacketIndex, Stretch, index_packets
from videozoo.data.playback import Playback, as_displayed, quarter_turns
from videozoo.errors import VideoError

KEPT_BYTES = 48 << 20  # of decoded pictures, held from counting the frames of a file until they are asked for


class VideoWarning(UserWarning):
    """A video that can be used in part: the text names the file and what is wrong with it."""


class VideoReader:
    """One video file, open for reading frames by number.

    The video stream is the best one as FFmpeg judges it, turned as its metadata says. ``threads`` is one for loader
    workers, which are many; 0 lets FFmpeg choose. Damaged packets are skipped and noted in ``problems``.

    Raises:
        VideoError: when the file cannot be opened, holds no video stream, or no frame of it decodes.
    """

    def __init__(self, path: str | PathLike[str], *, threads: int = 1) -> None:
        self.path = fspath(path)
        self.problems: list[str] = []
        self._threads = threads
        self._container, self._stream = open_stream(self.path, self._threads)
        self._count: int | None = None
        self._kept: list[VideoFrame] = []
        self._index: PacketIndex | None = None
        self._indexed = False
        self._rotation: int | None = None
        self._size: tuple[int, int] | None = None  # of the first frame, which later ones are scaled to
        self._fresh = True  # nothing was read since the file was opened
        self._careful = False  # the decoder reports damage instead of painting over it

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._kept = []
        self._container.close()

    @property
    def fps(self) -> float:
        """Average frames a second."""
        return frame_rate(self._stream)

    @property
    def height(self) -> int:
        """Pixels from top to bottom, as displayed."""
        context = self._stream.codec_context
        return context.width if self.rotation % 180 else context.height

    @property
    def width(self) -> int:
        """Pixels from left to right, as displayed."""
        context = self._stream.codec_context
        return context.height if self.rotation % 180 else context.width

    @property
    def rotation(self) -> int:
        """Degrees by which the stored picture is turned, counter-clockwise, to be displayed."""
        if self._rotation is None:
            self._rotation = 90 * next((quarter_turns(frame) for frame in self._decode_all()), 0)
        return self._rotation

    @property
    def frame_count(self) -> int:
        """How many frames decode; counted from the packets where these prove it, else by decoding once."""
        if self._count is None:
            index = self._packets()
            self._count = len(index) if index is not None else self._count_by_decoding()
            promised = self._stream.frames
            if promised > self._count + max(3, self._count // 20):  # headers are often wrong by one or two
                self._note(f"its header says {promised} frames, {self._count} decode: cut short, or a wrong header")
        return self._count

    def frames(self, indices: Sequence[int], *, change: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Frames by number, in the order asked for, repeats allowed. Shape: uint8 RGB (T, 3, H, W).

        Only these are converted and kept; nothing after the last of them is decoded. ``change`` is applied to each
        (3, H, W) as it comes, so that large pictures need not be kept.

        Raises:
            VideoError: for a number that no frame has, and for a video whose damage only shows now; ``frame_count`` is
                right afterwards.
        """
        wanted = set(indices)
        if not wanted:
            raise VideoError(f"{self.path}: no frames were asked for")
        if min(wanted) < 0:
            raise VideoError(f"{self.path}: frame {min(wanted)} was asked for, the first is 0")
        convert = _then(self._to_tensor, change)
        found = self._by_index(wanted, convert) or self._by_decoding(wanted, convert)
        absent = wanted - found.keys()
        if absent:
            self._count = self._count_by_decoding()
            raise VideoError(f"{self.path}: frame {max(absent)} was asked for, {self._count} frames decode")
        return torch.stack([found[index] for index in indices])

    def iterate(self, chunk: int = 64) -> Iterator[Tensor]:
        """All frames in order, ``chunk`` at a time. Shape: uint8 RGB (<= chunk, 3, H, W)."""
        kept: list[Tensor] = []
        for frame in self._decode_all():
            kept.append(self._to_tensor(frame))
            if len(kept) == chunk:
                yield torch.stack(kept)
                kept = []
        if kept:
            yield torch.stack(kept)

    def _rewind(self) -> None:
        """Back to the first packet with a fresh decoder; opening anew is the way that works for every container."""
        if not self._fresh:
            self._container.close()
            self._container, self._stream = open_stream(self.path, self._threads)
        self._fresh = False
        self._careful = False

    def _packets(self) -> PacketIndex | None:
        if not self._indexed:
            self._rewind()
            self._index = index_packets(self._container, self._stream)
            self._indexed = True
        return self._index

    def _decode_all(self) -> Iterator[VideoFrame]:
        """Every frame that decodes, from the first; damaged packets are skipped and counted."""
        self._rewind()
        playback = Playback(self._container, self._stream)
        for frame in playback:
            if self._size is None:
                self._size = frame.width, frame.height
            yield frame
        if not playback.frames:
            raise VideoError(f"{self.path}: no frame of it decodes ({playback.damaged} damaged packets)")
        for problem in filter(None, (playback.cut_off, playback.damage)):
            self._note(problem)

    def _count_by_decoding(self) -> int:
        """Decode everything, and keep what was decoded of a short video, since frames of it will be asked for next."""
        self._kept = []
        kept: list[VideoFrame] | None = []
        count, size = 0, 0
        for frame in self._decode_all():
            count += 1
            if kept is not None:
                size += sum(plane.buffer_size for plane in frame.planes)
                kept.append(frame)
                if size > KEPT_BYTES:
                    kept = None
        self._kept = kept or []
        return count

    def _by_decoding(self, wanted: set[int], convert: Callable[[VideoFrame], Tensor]) -> dict[int, Tensor]:
        """Frames by sequential decoding up to the last wanted one."""
        found: dict[int, Tensor] = {}
        for place, frame in enumerate(self._kept or self._decode_all()):
            if place in wanted:
                found[place] = convert(frame)
                if len(found) == len(wanted):
                    break
        return found

    def _by_index(self, wanted: set[int], convert: Callable[[VideoFrame], Tensor]) -> dict[int, Tensor] | None:
        """Frames by decoding only the packets that they need; None where that cannot be proven or does not hold."""
        index = self._packets()
        if index is None or max(wanted) >= len(index):
            return None
        number = dict(zip(index.pts.tolist(), index.frame.tolist(), strict=True))
        found: dict[int, Tensor] = {}
        try:
            for stretch in index.stretches(wanted):
                for frame in self._decode_stretch(stretch):
                    place = number[frame.pts]
                    if place in wanted:
                        found[place] = convert(frame)
        except (av.FFmpegError, _DamageError):  # not seen in the headers: what sequential decoding says holds
            self._index, self._count = None, None
            return None
        return found

    def _decode_stretch(self, stretch: Stretch) -> Iterator[VideoFrame]:
        """Frames of the packets of a stretch, the decoder emptied at the end.

        Raises:
            _DamageError: unless every packet gives its frame, in the order of display.
        """
        if not self._careful:
            self._rewind()
            self._stream.codec_context.options |= {"err_detect": "explode"}
            self._careful = True
        self._container.seek(stretch.entry, stream=self._stream, backward=True)
        expected = iter(stretch.times)
        for packet in _wanted_packets(self._container.demux(self._stream), stretch.packets):
            for frame in self._stream.codec_context.decode(packet):
                if frame.is_corrupt or frame.pts != next(expected, None):
                    raise _DamageError
                yield frame
        if next(expected, None) is not None:
            raise _DamageError

    def _to_tensor(self, frame: VideoFrame) -> Tensor:
        """One frame as displayed. Shape: uint8 RGB (3, H, W), channels last in memory."""
        check_size(self.path, *(self._size or (frame.width, frame.height)))  # which can differ from the container's
        return as_displayed(frame, self._size)

    def _note(self, problem: str) -> None:
        """Remember a problem, and warn of it once."""
        if problem not in self.problems:
            self.problems.append(problem)
            warnings.warn(f"{self.path}: {problem}", VideoWarning, stacklevel=4)


def read_frames(path: str | PathLike[str], indices: Sequence[int]) -> Tensor:
    """Frames of a file by number. Shape: uint8 RGB (T, 3, H, W)."""
    with VideoReader(path) as reader:
        return reader.frames(indices)


def iterate(path: str | PathLike[str], chunk: int = 64) -> Iterator[Tensor]:
    """All frames of a file in order, ``chunk`` at a time, in flat memory. Shape: uint8 RGB (<= chunk, 3, H, W)."""
    with VideoReader(path) as reader:
        yield from reader.iterate(chunk)


class _DamageError(Exception):
    """A picture that is not what its packet's header promised."""


def _wanted_packets(
    packets: "Iterator[Packet[VideoStream]]", wanted: frozenset[int]
) -> "Iterator[Packet[VideoStream] | None]":
    """The packets at these places of the file, then None, which empties the decoder."""
    left = len(wanted)
    for packet in packets:
        if packet.pos in wanted:
            yield packet
            left -= 1
            if not left:
                break
    yield None


def _then(
    convert: Callable[[VideoFrame], Tensor], change: Callable[[Tensor], Tensor] | None
) -> Callable[[VideoFrame], Tensor]:
    return convert if change is None else lambda frame: change(convert(frame))
