"""Measuring primitives of the benchmarks: interleaved times as ratios, memory in exact bytes.

Times depend on the machine and on what else it does; ratios from interleaved rounds hardly do. Memory is counted from
what torch allocates, not from what the system reports, and is the same in every run.
"""

import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

import torch
from torch import Tensor

Clock = Literal["wall", "cpu"]
CPU = 0  # torch's number of that kind of device, as its traces write it


@dataclass(frozen=True)
class Timing:
    """The rounds of one candidate, in seconds, and beside them those of the first candidate of the comparison."""

    name: str
    seconds: tuple[float, ...]
    first: tuple[float, ...]

    @property
    def median(self) -> float:
        """Seconds of the median round."""
        return median(self.seconds)

    @property
    def ratio(self) -> float:
        """Median over the rounds of this candidate's time divided by the first one's time in the same round."""
        return median(own / first for own, first in zip(self.seconds, self.first, strict=True))


def compare(
    candidates: Mapping[str, Callable[[], object]], *, rounds: int = 5, warmup: int = 1, clock: Clock = "wall"
) -> list[Timing]:
    """Time the candidates in turn, round by round, so that a change of the machine's speed hits all alike.

    ``warmup`` rounds are run first and not counted. The ``cpu`` clock counts the time that this process computes, on
    all its threads: it hardly sees what else a busy machine does, nor what a second thread gains.
    """
    now = time.perf_counter if clock == "wall" else time.process_time
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(warmup + rounds):
        for name, candidate in candidates.items():
            finish()
            start = now()
            candidate()
            finish()
            seconds[name].append(now() - start)
    counted = {name: tuple(times[warmup:]) for name, times in seconds.items()}
    first = next(iter(counted.values()), ())
    return [Timing(name, times, first) for name, times in counted.items()]


def machine_name() -> str:
    """Processor, or GPU where one is in use, cores and threads, for the reader of the figures."""
    if torch.cuda.is_initialized():
        return torch.cuda.get_device_name()
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    processor = names[0] if names else platform.processor() or platform.machine()
    return f"{processor}, {os.cpu_count()} cores, {torch.get_num_threads()} threads"


def saved_tensor_memory(forward: Callable[[], object]) -> int:
    """Bytes that autograd keeps for the backward pass of one forward pass, each memory counted once.

    Parameters are left out, and so is what checkpointed parts keep: their own inputs.
    """
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        if not (tensor.is_leaf and tensor.requires_grad):
            kept[tensor.untyped_storage().data_ptr()] = tensor  # kept alive, so that no address is used twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = forward()
    del result
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def peak_memory(function: Callable[[], object]) -> int:
    """Most bytes that torch held during the call above what it held at its start, inner work space included.

    Counted by the allocator of the GPU in use, or else from the allocations on the CPU. What oneDNN and other
    libraries take for themselves is not seen.
    """
    if torch.cuda.is_initialized():
        finish()
        torch.cuda.reset_peak_memory_stats()
        start = torch.cuda.memory_allocated()
        function()
        finish()
        return torch.cuda.max_memory_allocated() - start
    held = peak = 0
    for event in _allocations(function):
        held += event["args"]["Bytes"]
        peak = max(peak, held)
    return peak


def _allocations(function: Callable[[], object]) -> list[dict[str, Any]]:
    """What was allocated (positive bytes) and freed (negative) on the CPU during a call, in order of time."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profiler:
        function()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text(encoding="utf-8"))["traceEvents"]
    memory = [event for event in events if event.get("name") == "[memory]" and event["args"]["Device Type"] == CPU]
    return sorted(memory, key=lambda event: event["ts"])


def finish() -> None:
    """Wait for the GPU, where one is in use: its work is only queued."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()
