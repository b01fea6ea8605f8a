"""A video cut into windows of time while it passes: each holds the frames that begin within it."""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from videozoo.data.container import DEFAULT_FPS
from videozoo.errors import SettingError

NEAR = 1e-6  # seconds; a frame this near to a window's edge begins on it
JUMP = 1.0  # seconds by which times may go back (pictures out of order) before the clock counts as set anew

T = TypeVar("T")


@dataclass(frozen=True)
class Window(Generic[T]):
    """A piece of a video from ``start`` to ``end`` in seconds, and its frames with the times at which they begin."""

    start: float
    end: float
    times: tuple[float, ...]
    frames: tuple[T, ...]

    def rate(self, fps: float) -> float:
        """Frames a second within the window; ``fps``, what the file says, where that agrees but for rounded times."""
        if len(self.times) < 2 or self.times[-1] <= self.times[0]:
            return fps
        measured = (len(self.times) - 1) / (self.times[-1] - self.times[0])
        return fps if abs(measured - fps) < 0.02 * fps else measured


def check_durations(window: float, stride: float) -> None:
    """Raise SettingError unless both are positive and finite."""
    for name, seconds in (("window", window), ("stride", stride)):
        if not 0 < seconds < math.inf:
            raise SettingError(f"{name} {seconds:g} s: must be positive")


def cut_windows(
    frames: Iterable[tuple[float, T]], window: float, stride: float, *, fps: float = DEFAULT_FPS
) -> Iterator[Window[T]]:
    """Windows of ``window`` seconds, one every ``stride``, each as soon as the frame after it has come.

    Frames come with their times, which do not decrease; only those that a present window holds are kept. What is left
    at the end is a shorter window where it is at least half a window long, or the only one. A window in which no frame
    begins is left out. ``fps`` says how long a single frame is shown.
    """
    held: deque[tuple[float, T]] = deque()
    number, covered = 0, 0.0  # of the next window; where the last one ended

    def pass_windows(now: float, next_frame: float) -> Iterator[Window[T]]:
        """Windows that have ended by now; where frames are far apart, on to the first that may hold one."""
        nonlocal number, covered
        while now >= number * stride + window:
            cut = _window(held, number * stride, number * stride + window)
            if cut.frames:
                covered = cut.end
                yield cut
            number += 1
            _forget(held, number * stride)
            number = max(number, int(((held[0][0] if held else next_frame) - window) // stride))

    for time, frame in frames:
        yield from pass_windows(time + NEAR, time)
        if time >= number * stride - NEAR:
            held.append((time, frame))
    if not held:
        return
    last = held[-1][0]
    period = (last - held[0][0]) / (len(held) - 1) if last > held[0][0] else 1 / fps
    yield from pass_windows(last + 1.1 * period, last)  # the last frame is shown about as long as those before it
    left = _window(held, number * stride, last + period)
    if left.frames and last >= covered - NEAR and (left.end - left.start >= window / 2 or not covered):
        yield left


def _window(held: deque[tuple[float, T]], start: float, end: float) -> Window[T]:
    inside = [(time, frame) for time, frame in held if start - NEAR <= time < end - NEAR]
    return Window(start, end, tuple(time for time, _ in inside), tuple(frame for _, frame in inside))


def _forget(held: deque[tuple[float, T]], start: float) -> None:
    """Drop the frames before a time."""
    while held and held[0][0] < start - NEAR:
        held.popleft()


def steady_times(frames: Iterable[tuple[float | None, T]], fps: float) -> Iterator[tuple[float, T]]:
    """The same frames with times that begin at 0 and never go back.

    A frame without a time follows the one before it at ``fps``; so do frames after the clock was set back, as in files
    put one after the other.
    """
    previous, offset = -1 / fps, None
    for time, frame in frames:
        if time is None:
            previous += 1 / fps
        else:
            if offset is None or time + offset < previous - JUMP:
                offset = previous + 1 / fps - time
            previous = max(previous, time + offset)
        yield previous, frame
