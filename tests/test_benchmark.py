"""The measuring primitives of the benchmarks."""

import pytest
import torch
from torch import nn

from videozoo.evaluation.benchmark import Timing, compare, peak_memory, saved_tensor_memory

MEGABYTE = 2**20


def test_candidates_are_timed_in_turn():
    calls = []
    timings = compare({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=3, warmup=1)
    assert calls == ["a", "b"] * 4
    assert [timing.name for timing in timings] == ["a", "b"]
    assert all(len(timing.seconds) == 3 for timing in timings)
    assert timings[0].ratio == 1


def test_ratio_is_the_median_of_the_rounds_ratios():
    timing = Timing("b", seconds=(2.0, 30.0, 3.0), first=(1.0, 10.0, 2.0))
    assert timing.ratio == 2.0
    assert timing.median == 3.0


def test_saved_memory_counts_each_storage_once_and_no_parameters():
    features = torch.randn(256, 1024)
    linear = nn.Linear(1024, 1024)

    def forward():
        hidden = linear(features)  # keeps its input, 1 MB
        return (hidden * hidden).sum() + hidden.exp().sum()  # keep hidden and its exponential, 1 MB each

    assert saved_tensor_memory(forward) == 3 * MEGABYTE


@pytest.mark.skipif(torch.cuda.is_available(), reason="counts the CPU's memory")
def test_peak_memory_sees_what_is_freed_again():
    held = torch.zeros(256, 1024)

    def forward():
        first = held + 1
        second = first + 1  # two megabytes at once
        del first
        return second + 1

    assert 2 * MEGABYTE <= peak_memory(forward) < 2.1 * MEGABYTE
