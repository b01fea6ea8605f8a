"""What a network costs: its parameters, and its multiply-adds on a clip."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Cost:
    """Numbers of parameters and of multiply-adds; the literature calls either of MAC and 2 x MAC "FLOPs"."""

    parameters: int
    macs: int


def count_cost(module: nn.Module, clip_shape: Sequence[int]) -> Cost:
    """Parameters of a module, and the multiply-adds of one forward pass in eval mode on a clip of this whole shape.

    Counted are convolutions, linear layers and other matrix products, by torch's own counter, which ignores
    element-wise terms (norms, activations, pooling, resizing, shifts): some 0.5 to 3 % of these networks. Shapes are
    enough for that, so nothing is computed; only a module whose path depends on values runs for real, on random ones.
    """
    parameters = sum(parameter.numel() for parameter in module.parameters())
    try:
        return Cost(parameters, _count(_without_values(module), torch.empty(tuple(clip_shape), device="meta")))
    except (NotImplementedError, RuntimeError):
        like = next(module.parameters(), torch.empty(0))
        clip = torch.rand(tuple(clip_shape), device=like.device, dtype=like.dtype)
        return Cost(parameters, _count(copy.deepcopy(module), clip))


def _count(module: nn.Module, clip: Tensor) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module.eval()(clip)
    return counter.get_total_flops() // 2


def _without_values(module: nn.Module) -> nn.Module:
    """A copy whose tensors have shapes only; copying takes from ``memo`` what it finds there."""
    memo: dict[int, Tensor] = {}
    for parameter in module.parameters():
        memo[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="meta"), requires_grad=False)
    for buffer in module.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(module, memo)
