"""Where the time of a training step goes: data, forward pass, backward pass, optimiser."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from videozoo.evaluation.benchmark import finish

PARTS = ("data", "forward", "backward", "optimiser")
Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Step:
    """A training step in its parts: how the loss of a batch is made, and what learns from it."""

    loss: Callable[[Batch], Tensor]
    optimizer: Optimizer
    precision: Callable[[], AbstractContextManager[Any]] = nullcontext

    def __call__(self, batch: Batch) -> None:
        """One whole step on a batch in hand."""
        with self.precision():
            loss = self.loss(batch)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()

    def times(self, read: Callable[[], Batch]) -> dict[str, float]:
        """Seconds of each part of one step."""
        marks = [_now()]
        batch = read()
        marks.append(_now())
        with self.precision():
            loss = self.loss(batch)
        marks.append(_now())
        loss.backward()
        marks.append(_now())
        self.optimizer.step()
        self.optimizer.zero_grad()
        marks.append(_now())
        return {part: marks[place + 1] - marks[place] for place, part in enumerate(PARTS)}


def median_times(step: Step, read: Callable[[], Batch], rounds: int) -> dict[str, float]:
    """Median seconds of each part over ``rounds`` steps, after one that is not counted."""
    times = [step.times(read) for _ in range(rounds + 1)][1:]
    return {part: median(row[part] for row in times) for part in PARTS}


def with_faster_computing(times: dict[str, float], ratio: float) -> float:
    """A step relative to what it was, if all but reading its data takes ``ratio`` of its time."""
    return (times["data"] + ratio * (sum(times.values()) - times["data"])) / sum(times.values())


def loop_seconds(step: Step, batches: Callable[[], Any], rounds: int) -> float:
    """Median seconds from step to step of a loop over a loader, its first two left out: workers start and fill."""
    marks = []
    for place, batch in enumerate(batches()):
        step(batch)
        marks.append(_now())
        if place > rounds + 1:
            break
    return median(later - earlier for earlier, later in pairwise(marks[1:]))


def _now() -> float:
    finish()
    return time.perf_counter()


def autocast(device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
    """Mixed precision in bfloat16 on a device."""
    return lambda: torch.autocast(device.type, torch.bfloat16)
