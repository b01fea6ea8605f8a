"""Learning-rate schedules: what every rate is multiplied with at a time, in epochs or steps, of a training run."""

import math
from collections.abc import Sequence
from typing import Literal

ScheduleName = Literal["cosine", "step", "constant", "plateau"]
SCHEDULES = ("cosine", "step", "constant", "plateau")
ALMOST_NOTHING = 1e-3  # where a warm-up from zero starts, or its first step would teach nothing


def warm_up(time: float, length: float, start: float) -> float:
    """A straight line from ``start`` to 1 over ``length``."""
    return max(start + (1 - start) * time / length, ALMOST_NOTHING / (length + ALMOST_NOTHING))


def half_cosine(time: float, length: float) -> float:
    """Half a cosine from 1 to 0 over ``length``."""
    return 0.5 * (1 + math.cos(math.pi * min(max(time, 0.0) / max(length, 1e-9), 1.0)))


def stairs(time: float, milestones: Sequence[int], every: int | None, factor: float) -> float:
    """Multiplied with ``factor`` at each of the milestones, and at every multiple of ``every``."""
    passed = sum(time >= milestone for milestone in milestones)
    return factor ** (passed + (int(time / every) if every else 0))
