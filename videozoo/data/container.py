"""Opening a video file, with an error that says what is wrong with it."""

from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from videozoo.errors import VideoError


def open_stream(path: str, threads: int) -> tuple[InputContainer, VideoStream]:
    """A container and its best video stream, to be decoded by ``threads`` threads (0: FFmpeg chooses).

    Raises:
        VideoError: when the file is absent, empty, no video, or holds no video stream that can be decoded.
    """
    if Path(path).is_file() and Path(path).stat().st_size == 0:
        raise VideoError(f"{path}: the file is empty")
    try:
        container = av.open(path, metadata_errors="ignore")
    except FileNotFoundError as error:
        raise VideoError(f"{path}: no such file") from error
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"{path}: not a video, or cut short ({reason(error)})") from error
    stream = container.streams.best("video")
    if not isinstance(stream, VideoStream) or stream.codec_context is None:
        container.close()
        known = "no video stream in it" if stream is None else "FFmpeg knows no decoder for its video stream"
        raise VideoError(f"{path}: {known}")
    stream.codec_context.thread_count = threads
    stream.codec_context.thread_type = "AUTO" if threads != 1 else "NONE"
    return container, stream


def reason(error: BaseException) -> str:
    """What FFmpeg says, without the number and the file name it wraps around it."""
    return getattr(error, "strerror", None) or type(error).__name__
