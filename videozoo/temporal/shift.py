"""Temporal shift: an eighth of the channels sees the next frame, an eighth the previous one (TSM, section 3)."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def temporal_shift(clip: Tensor, *, divisor: int = 8) -> Tensor:
    """Move the first C // divisor channels one frame back in time and the next C // divisor one frame forward.

    Shape: (B, T, C, H, W) -> (B, T, C, H, W). Frame t thus reads its first channels from t + 1 and the following ones
    from t - 1; what would come from beyond an end is zero. No parameters and no multiply-adds.
    """
    if torch.compiler.is_dynamo_compiling():
        return _joined(clip, clip.shape[2] // divisor)
    if torch.is_grad_enabled() and clip.requires_grad:
        return _Shift.apply(clip, clip.shape[2] // divisor, False)
    return _shifted(clip, clip.shape[2] // divisor, backwards=False)


class _Shift(torch.autograd.Function):
    """The shift with its adjoint, the opposite shift: plain autograd would copy the gradient once a slice."""

    generate_vmap_rule = True

    @staticmethod
    def forward(clip: Tensor, fold: int, backwards: bool) -> Tensor:
        return _shifted(clip, fold, backwards=backwards)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, int, bool], output: Tensor) -> None:
        _, ctx.fold, ctx.backwards = inputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _Shift.apply(gradient, ctx.fold, not ctx.backwards), None, None


def _joined(clip: Tensor, fold: int) -> Tensor:
    """The same without an allocation that is filled in parts, which torch.compile leaves partly unfilled on a CPU."""
    following = F.pad(clip[:, 1:, :fold], (0, 0, 0, 0, 0, 0, 0, 1))
    previous = F.pad(clip[:, :-1, fold : 2 * fold], (0, 0, 0, 0, 0, 0, 1, 0))
    return torch.cat([following, previous, clip[:, :, 2 * fold :]], dim=2)


def _shifted(clip: Tensor, fold: int, *, backwards: bool) -> Tensor:
    """Three copies into one allocation that keeps the memory order of the clip (channels-last stays so)."""
    shifted = torch.empty_like(clip)
    from_next, from_previous = slice(0, fold), slice(fold, 2 * fold)
    if backwards:
        from_next, from_previous = from_previous, from_next
    shifted[:, :-1, from_next] = clip[:, 1:, from_next]
    shifted[:, -1:, from_next] = 0
    shifted[:, 1:, from_previous] = clip[:, :-1, from_previous]
    shifted[:, :1, from_previous] = 0
    shifted[:, :, 2 * fold :] = clip[:, :, 2 * fold :]
    return shifted
