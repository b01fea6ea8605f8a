"""The temporal shift equals its definition and the recorded arrays, forwards and backwards."""

from pathlib import Path

import numpy as np
import pytest
import torch

from videozoo.temporal.shift import temporal_shift

STORED = Path(__file__).parent / "data" / "temporal_shift.npz"


def check(arrays, case, frames, divisor):
    clip, out, cotangent, gradient = (
        torch.from_numpy(arrays[f"{case}.{name}"]).unflatten(0, (-1, frames))
        for name in ("in", "out", "cotangent", "grad_in")
    )
    clip.requires_grad_()
    shifted = temporal_shift(clip, divisor=divisor)
    assert torch.equal(shifted, out)
    shifted.backward(cotangent)
    assert torch.equal(clip.grad, gradient)


@pytest.mark.parametrize(
    ("case", "frames", "divisor"), [("T3_C9_div3", 3, 3), ("T1_C16_div8", 1, 8), ("T4_C6_div8", 4, 8)]
)
def test_stored_cases(case, frames, divisor):
    check(np.load(STORED), case, frames, divisor)


def test_recorded_cases(reference):
    arrays = reference("blocks/temporal_shift.npz")
    for case, setting in reference("blocks/index.json")["temporal_shift"]["cases"].items():
        if "div" in setting:
            check(arrays, case, setting["segments"], setting["div"])


def test_definition():
    clip = torch.randn(2, 5, 17, 2, 3)
    shifted = temporal_shift(clip)
    for t in range(5):
        following = clip[:, t + 1] if t < 4 else torch.zeros_like(clip[:, t])
        previous = clip[:, t - 1] if t else torch.zeros_like(clip[:, t])
        assert torch.equal(shifted[:, t, :2], following[:, :2])
        assert torch.equal(shifted[:, t, 2:4], previous[:, 2:4])
        assert torch.equal(shifted[:, t, 4:], clip[:, t, 4:])


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_first_and_second_derivatives(frames):
    clip = torch.randn(1, frames, 8, 1, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(temporal_shift, clip)
    assert torch.autograd.gradgradcheck(lambda value: temporal_shift(value) ** 2, clip)


def test_the_order_of_memory_is_kept():
    clip = torch.randn(2, 3, 4, 5, 16).permute(0, 1, 4, 2, 3)
    assert temporal_shift(clip).stride() == clip.stride()
    assert temporal_shift(clip).flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


def test_with_and_without_gradient_are_the_same():
    clip = torch.randn(2, 4, 16, 2, 2)
    assert torch.equal(temporal_shift(clip), temporal_shift(clip.clone().requires_grad_()))
