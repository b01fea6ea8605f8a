"""Which frames of a video make a clip: the index arithmetic of TSN, TSM and PySlowFast, with its edges mended.

Pure functions of the number of frames. Frame numbers start at 0; S segments, F frames per segment. Where the published
codes differ from one another or leave the video (fewer frames than S or F), one rule holds: the segments of testing in
training and validation too, and the last frame repeated. Only dense clips begin anew at the end of the video, since the
published weights were trained so.
"""

import math
from collections.abc import Callable

import torch

from videozoo.clip_spec import ClipSpec
from videozoo.errors import SettingError

DENSE_WINDOW = 64  # frames that a dense clip of single frames spans (TSM and RNL on Kinetics)
NEAR = 1e-9  # frames; a clip that begins or ends this near to a frame holds it


def uniform_starts(frame_count: int, segments: int, length: int, phase: float = 0.5) -> list[int]:
    """First frame of each of S equal segments, entered at ``phase``: 0 its beginning, 0.5 its centre.

    TSN and TSM: with t = (N - F + 1) / S, start i at the centre is floor(t / 2 + t i).
    """
    tick = (frame_count - length + 1) / segments
    return [max(0, math.floor(tick * phase + tick * i)) for i in range(segments)]


def random_starts(frame_count: int, segments: int, length: int, generator: torch.Generator) -> list[int]:
    """A random first frame in each of S equal segments (TSN, TSM).

    Segments shorter than a frame share S sorted draws; a video of at most S frames gives the starts of testing.
    """
    span = (frame_count - length + 1) // segments
    if span > 0:
        draws = torch.randint(span, (segments,), generator=generator).tolist()
        return [span * i + draw for i, draw in enumerate(draws)]
    if frame_count > segments:
        last = max(frame_count - length, 0)
        return sorted(torch.randint(last + 1, (segments,), generator=generator).tolist())
    return uniform_starts(frame_count, segments, length)


def phases(clips: int) -> list[float]:
    """Where in its segments each clip enters: the centre; centre and beginning (TSM's "twice"); else evenly spread."""
    return {1: [0.5], 2: [0.5, 0.0]}.get(clips) or [(2 * clip + 1) / (2 * clips) for clip in range(clips)]


def consecutive(starts: list[int], length: int, frame_count: int) -> list[int]:
    """F frames from each start, the last frame of the video repeated past its end."""
    return [min(start + k, frame_count - 1) for start in starts for k in range(length)]


def timed_indices(start: float, end: float, frames: int, frame_count: int) -> list[int]:
    """Frames spread evenly from ``start`` to ``end``, rounded down, kept inside the video (PySlowFast)."""
    return torch.linspace(start, end, frames).clamp(0, frame_count - 1).long().tolist()


def sample_indices(
    spec: ClipSpec, frame_count: int, fps: float, *, clips: int = 1, generator: torch.Generator | None = None
) -> list[list[int]]:
    """The frames of each test clip, ``clips`` lists of ``spec.frames``; with a generator, of one random training clip.

    Test clips are spread over the video as the family of the spec's sampling does; a single one is the centre clip,
    also where PySlowFast would take the first. Sampling "all" gives every frame, the last repeated in a shorter video;
    a longer one is thinned out evenly. ``fps`` is the video's rate in frames a second; only "timed" looks at it.

    Raises:
        SettingError: for a video without frames, or fewer than one clip.
    """
    if frame_count < 1 or clips < 1:
        raise SettingError(f"frame_count {frame_count} and clips {clips} must be at least 1")
    if spec.sampling == "timed":
        return _timed(spec, frame_count, fps, clips, generator)
    sample: Callable[[ClipSpec, int, int, torch.Generator | None], list[list[int]]]
    sample = {"uniform": _uniform, "dense": _dense, "all": _all}[spec.sampling]
    return sample(spec, frame_count, clips, generator)


def _uniform(spec: ClipSpec, frame_count: int, clips: int, generator: torch.Generator | None) -> list[list[int]]:
    segments, length = spec.segments, spec.frames_per_segment
    if generator is not None:
        clip_starts = [random_starts(frame_count, segments, length, generator)]
    else:
        clip_starts = [uniform_starts(frame_count, segments, length, phase) for phase in phases(clips)]
    return [consecutive(starts, length, frame_count) for starts in clip_starts]


def _dense(spec: ClipSpec, frame_count: int, clips: int, generator: torch.Generator | None) -> list[list[int]]:
    """Single frames from a window of 64, or snippets that follow one another without a gap (BQN)."""
    length = spec.frames_per_segment
    window = DENSE_WINDOW if length == 1 else spec.frames
    stride = max(1, DENSE_WINDOW // spec.segments) if length == 1 else length
    last = max(0, frame_count - window)
    if generator is not None:  # the published code never draws the last position
        starts = [int(torch.randint(max(1, last), (), generator=generator))]
    elif clips == 1:
        starts = [last // 2]
    else:  # numpy.linspace, which sets the last one: in floats it can fall short of a whole number
        starts = [*(math.floor(last / (clips - 1) * clip) for clip in range(clips - 1)), last]
    places = [[(start + i * stride) % frame_count for i in range(spec.segments)] for start in starts]
    return [consecutive(clip, length, frame_count) for clip in places]


def _timed(
    spec: ClipSpec, frame_count: int, fps: float, clips: int, generator: torch.Generator | None
) -> list[list[int]]:
    """Clips of equal duration whatever the frame rate (PySlowFast without offset sampling, as X3D was tested)."""
    length = max(1.0, spec.stride * spec.frames / spec.fps * fps)
    room = max(0.0, frame_count - length)
    if generator is not None:
        starts = [room * float(torch.rand((), generator=generator))]
    elif clips == 1:
        starts = [float(math.floor(room / 2))]
    else:  # the last clip ends one part in ``clips`` before the last possible place: the published figures were so made
        starts = [room * clip / clips for clip in range(clips)]
    return [_timed_clip(spec, start, length, frame_count) for start in starts]


def _timed_clip(spec: ClipSpec, start: float, length: float, frame_count: int) -> list[int]:
    """PySlowFast decodes the whole frames of the clip and counts from the first, or the whole of a short video."""
    if frame_count <= spec.frames * spec.stride:
        return timed_indices(start, start + length - 1, spec.frames, frame_count)
    first = min(math.ceil(start - NEAR), frame_count - 1)
    last = max(first, min(math.floor(start + length - 1 + NEAR), frame_count - 1))
    return [first + place for place in timed_indices(0, length - 1, spec.frames, last - first + 1)]


def _all(spec: ClipSpec, frame_count: int, clips: int, generator: torch.Generator | None) -> list[list[int]]:
    if frame_count > spec.frames:
        return [uniform_starts(frame_count, spec.frames, 1)] * clips
    return [consecutive([0], spec.frames, frame_count)] * clips
