"""A video made small enough to live inside an HTML page: H.264, without sound, of few pixels."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from math import ceil
from os import PathLike
from pathlib import Path

import av
from torch import Tensor

from videozoo.data.frame_source import FrameSource, open_video
from videozoo.data.transforms import resize_short_side
from videozoo.errors import VideoError

SHORT_SIDE = 240  # pixels; smaller videos keep theirs
MOST_FPS, MOST_SECONDS = 30, 60
AT_ONCE = 32  # frames that are decoded together
ENCODER = {"preset": "veryfast", "crf": "26"}


@dataclass(frozen=True)
class SmallClip:
    """An mp4 file as bytes, of the first ``shown`` of ``seconds`` that the video has."""

    mp4: bytes
    seconds: float
    shown: float


def small_clip(path: str | PathLike[str]) -> SmallClip:
    """The beginning of a video file, or of a folder of pictures, encoded anew.

    Raises:
        VideoError: when it is no readable video.
    """
    buffer = BytesIO()
    with open_video(Path(path)) as source, av.open(buffer, "w", format="mp4") as container:
        seconds = source.frame_count / source.fps
        step = ceil(source.fps / MOST_FPS - 0.1)
        rate = Fraction(source.fps / step).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate, options=ENCODER)
        count = 0
        for frames in _shrunk(source, range(0, min(source.frame_count, ceil(MOST_SECONDS * source.fps)), step)):
            if not count:
                stream.height, stream.width, stream.pix_fmt = frames.shape[-2], frames.shape[-1], "yuv420p"
            for pixels in frames.permute(0, 2, 3, 1).contiguous().numpy():
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            count += len(frames)
        container.mux(stream.encode(None))
    return SmallClip(buffer.getvalue(), seconds, min(seconds, count / float(rate)))


def _shrunk(source: FrameSource, places: range) -> Iterator[Tensor]:
    """Frames of even height and width, some at a time; of a damaged video, those that do decode."""
    for first in range(0, len(places), AT_ONCE):
        promised = source.frame_count
        wanted = [place for place in places[first : first + AT_ONCE] if place < promised]
        try:
            frames = source.frames(wanted, change=_shrink) if wanted else None
        except VideoError:
            left = [place for place in wanted if place < source.frame_count < promised]
            if not (left or first):
                raise
            frames = source.frames(left, change=_shrink) if left else None
        if frames is None:
            return
        yield frames


def _shrink(frame: Tensor) -> Tensor:
    if min(frame.shape[-2:]) > SHORT_SIDE:
        frame = resize_short_side(frame, SHORT_SIDE, antialias=True)
    return frame[..., : frame.shape[-2] // 2 * 2, : frame.shape[-1] // 2 * 2]
