"""A video read once from its first frame on: a file, an address or a device; one that breaks off is opened again."""

import os
import time
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event
from types import TracebackType

import av
from av.container import InputContainer
from av.video.frame import VideoFrame

from videozoo.data.container import Opening, frame_rate, open_stream
from videozoo.data.decoding import VideoWarning
from videozoo.data.playback import Playback
from videozoo.data.time_windows import steady_times
from videozoo.errors import VideoError

PLAYLISTS = frozenset({"hls", "dash", "sdp"})  # formats whose own size says nothing of the video's
FIRST_DELAY, LONGEST_DELAY = 1.0, 30.0  # seconds before a stream is opened again, twice as long each time


class Stream:
    """An open video, to be read once.

    A source is *live* where neither a file nor a stated duration or size says that it has an end: then an end is a
    break. After a break the source is opened again, ``reconnect`` times without a frame at most, after 1, 2, 4, ...
    seconds; each attempt is one VideoWarning. A live source goes on at the time that the clock on the wall shows by
    then, any other where it was. Files and pipes are waited for as long as they take. ``stopped`` ends reading and
    waiting from another thread.

    Raises:
        VideoError: when the source cannot be opened.
    """

    def __init__(self, source: str, *, opening: Opening | None = None, reconnect: int = 3) -> None:
        self.source = source
        self.reconnect = reconnect
        self.stopped = Event()
        self._local = _is_local(source)
        self._opening = replace(opening or Opening(), timeout=None) if self._local else opening
        self._container, self._stream = open_stream(source, 0 if self._local else 1, self._opening)
        self.live = not self._local and not _has_end(self._container)
        self.fps = frame_rate(self._stream)
        self._started = time.monotonic()
        self._attempts = 0  # to open it again since the last frame
        self._break_off: str | None = None
        self._position = 0.0  # seconds from the first frame of all to the last one read

    def __enter__(self) -> "Stream":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._container.close()

    def runs(self) -> Iterator[tuple[float, Iterator[tuple[float, VideoFrame]]]]:
        """Stretches without a break: where each begins in seconds, and its frames with their times from there.

        Raises:
            VideoError: after a break that could not be mended, and for a video no frame of which decodes.
        """
        begin = 0.0
        while not self.stopped.is_set():
            yield begin, self._run(begin)
            if not self.live:
                return
            self._open_again(self._break_off or "it ended")
            begin = max(time.monotonic() - self._started, self._position + 1 / self.fps)

    def _run(self, begin: float) -> Iterator[tuple[float, VideoFrame]]:
        for place, frame in steady_times(self._timed_frames(), self.fps):
            self._position = begin + place
            yield place, frame

    def _timed_frames(self) -> Iterator[tuple[float | None, VideoFrame]]:
        """Frames with the source's own times; where a source with an end broke off, those after the last one read."""
        last: float | None = None
        while not self.stopped.is_set():
            known = last
            playback = Playback(self._container, self._stream)
            for frame in playback:
                if self.stopped.is_set():
                    return
                if known is not None and frame.time is not None and frame.time <= known:
                    continue
                known, last, self._attempts = None, frame.time, 0
                yield frame.time, frame
            self._break_off = playback.break_off
            self._check(playback)
            if self.live or self._local or playback.break_off is None:
                return
            self._open_again(playback.break_off)
            self._seek(last)

    def _check(self, playback: Playback) -> None:
        """Warn of what did not decode.

        Raises:
            VideoError: where nothing did, unless the source was read before.
        """
        if not playback.frames and not self._attempts:
            raise VideoError(f"{self.source}: no frame of it decodes ({playback.damaged} damaged packets)")
        problems = (playback.damage, playback.cut_off if self._local else None)
        for problem in filter(None, problems):
            warnings.warn(f"{self.source}: {problem}", VideoWarning, stacklevel=2)

    def _open_again(self, why: str) -> None:
        self._container.close()
        while not self.stopped.is_set():
            place = f"{self.source}: broke off after {self._position:.1f} s ({why})"
            if self._attempts == self.reconnect:
                tried = f", opening it again failed {self.reconnect} times" if self.reconnect else ""
                raise VideoError(place + tried)
            wait = min(FIRST_DELAY * 2**self._attempts, LONGEST_DELAY)
            self._attempts += 1
            text = f"{place}, attempt {self._attempts} of {self.reconnect} to open it again in {wait:g} s"
            warnings.warn(text, VideoWarning, stacklevel=2)
            self.stopped.wait(wait)
            try:
                self._container, self._stream = open_stream(self.source, 1, self._opening)
            except VideoError:
                continue
            return

    def _seek(self, last: float | None) -> None:
        """Near to a time; a source that cannot stays at its beginning, and frames are passed over."""
        if last is not None and not self.stopped.is_set():
            with suppress(av.FFmpegError):
                self._container.seek(int(last * av.time_base))


def _is_local(source: str) -> bool:
    """Whether it is a file or a pipe, whose end is its end."""
    if "://" in source:
        return False
    return os.path.isfile(source) or source.startswith("pipe:") or Path(source).is_fifo()


def _has_end(container: InputContainer) -> bool:
    return container.duration is not None or (container.size > 0 and container.format.name not in PLAYLISTS)
