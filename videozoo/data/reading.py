"""The front door: a video file becomes the views that a network is tested on."""

from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path

from torch import Tensor

from videozoo.clip_spec import ClipSpec, Views
from videozoo.data.frame_source import FrameSource, open_video
from videozoo.data.sampling import sample_indices
from videozoo.data.transforms import resize_short_side, test_short_side, views
from videozoo.errors import VideoError


def read_views(path: str | PathLike[str], spec: ClipSpec, protocol: Views | None = None) -> Tensor:
    """Views of a video file, or of a folder of pictures; one centre view without a protocol.

    Shape: (V, T, C, size, size), clip by clip, the crops of a clip side by side.

    Raises:
        VideoError: when the file is no readable video.
    """
    with open_video(Path(path)) as source:
        return source_views(source, spec, protocol or Views(average=spec.views.average))


def source_views(
    source: FrameSource, spec: ClipSpec, protocol: Views, *, first: int = 0, count: int | None = None
) -> Tensor:
    """Views of an open video, or of ``count`` frames of it from ``first`` on; every frame is read and scaled once.

    Shape: (V, T, C, size, size).
    """
    promised = source.frame_count
    try:
        return _read_views(source, spec, protocol, first, count or promised)
    except VideoError:
        if count is not None or not 0 < source.frame_count < promised:
            raise
        return source_views(source, spec, protocol)  # damage came to light: views of what does decode


def _read_views(source: FrameSource, spec: ClipSpec, protocol: Views, first: int, count: int) -> Tensor:
    spec = replace(spec, frames=protocol.frames or spec.frames)
    clips = sample_indices(spec, count, source.fps, clips=protocol.clips)
    chosen = sorted({index for clip in clips for index in clip})
    place = {index: position for position, index in enumerate(chosen)}
    scale = partial(resize_short_side, size=test_short_side(spec, protocol), antialias=spec.antialias)
    frames = source.frames([first + index for index in chosen], change=scale)
    by_clip = frames[[place[index] for clip in clips for index in clip]].unflatten(0, (len(clips), -1))
    return views(by_clip, spec, protocol)
