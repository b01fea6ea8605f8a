"""Opening a video file, an address or a device, with an error that says what is wrong with it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from videozoo.errors import SettingError, VideoError

DEFAULT_FPS = 25.0  # of a video that does not say
MOST_PIXELS = 1 << 26  # of a picture, twice those of 8K: a file of some hundred bytes can claim any size
LONGEST_SIDE = 100  # times the shorter one, which is what a picture is scaled by


@dataclass(frozen=True)
class Opening:
    """How FFmpeg opens what is no file: its name of the input format (v4l2), its options, seconds without data."""

    input_format: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    timeout: float | None = None


def open_stream(path: str, threads: int, opening: Opening | None = None) -> tuple[InputContainer, VideoStream]:
    """A container and its best video stream, to be decoded by ``threads`` threads (0: FFmpeg chooses).

    Raises:
        VideoError: when the file is absent, empty, no video, or holds no video stream that can be decoded, or pictures
            too large or too narrow.
        SettingError: for an input format that FFmpeg does not know.
    """
    if os.path.isfile(path) and os.path.getsize(path) == 0:  # unlike Path, also for an address of any length
        raise VideoError(f"{path}: the file is empty")
    container = _open(path, opening or Opening())
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.codec_context is None:
        container.close()
        known = "no video stream in it" if stream is None else "FFmpeg knows no decoder for its video stream"
        raise VideoError(f"{path}: {known}")
    try:
        check_size(path, stream.codec_context.width, stream.codec_context.height)
    except VideoError:
        container.close()
        raise
    stream.codec_context.thread_count = threads
    stream.codec_context.thread_type = "AUTO" if threads != 1 else "NONE"
    stream.codec_context.options = {"max_pixels": str(MOST_PIXELS)}
    return container, stream


def check_size(path: str, width: int, height: int) -> None:
    """Refuse pictures whose decoding or scaling would take memory and time out of all proportion.

    Raises:
        VideoError: naming the file and the size.
    """
    if width * height > MOST_PIXELS or max(width, height) > LONGEST_SIDE * max(1, min(width, height)):
        allowed = f"{MOST_PIXELS} pixels, one side at most {LONGEST_SIDE} times the other"
        raise VideoError(f"{path}: its pictures are {width} x {height}, at most {allowed} are read")


def _open(path: str, opening: Opening) -> InputContainer:
    try:
        return av.open(
            path,
            format=opening.input_format,
            options=dict(opening.options),
            timeout=opening.timeout,
            metadata_errors="ignore",
        )
    except FileNotFoundError as error:
        raise VideoError(f"{path}: no such file") from error
    except (av.FFmpegError, OSError) as error:
        wrong = "cannot be opened" if "://" in path else "not a video, or cut short"
        raise VideoError(f"{path}: {wrong} ({reason(error)})") from error
    except ValueError as error:
        raise SettingError(f"input format {opening.input_format!r}: FFmpeg knows none of that name") from error


def frame_rate(stream: VideoStream) -> float:
    """Average frames a second, as far as the container says."""
    return float(stream.average_rate or stream.guessed_rate or DEFAULT_FPS)


def reason(error: BaseException) -> str:
    """What FFmpeg says, without the number and the file name it wraps around it."""
    if isinstance(error, av.error.ExitError):  # how PyAV ends a wait that took too long
        return "no data in time"
    return getattr(error, "strerror", None) or type(error).__name__
