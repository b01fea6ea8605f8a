"""What a network costs: its parameters, and its multiply-adds on a clip."""

import copy
import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Cost:
    """Numbers of parameters and of multiply-adds; the literature calls either of MAC and 2 x MAC "FLOPs".

    ``product_macs`` are those of the multiply-adds that multiply features with features, not with parameters: the
    affinities of attention, which many papers leave out of their counts.
    """

    parameters: int
    macs: int
    product_macs: int = 0


def count_cost(module: nn.Module, clip_shape: Sequence[int]) -> Cost:
    """Parameters of a module, and the multiply-adds of one forward pass in eval mode on a clip of this whole shape.

    Counted are convolutions, linear layers and other matrix products, by torch's own counter, which ignores
    element-wise terms (norms, activations, pooling, resizing, shifts): some 0.5 to 3 % of these networks. Shapes are
    enough for that, so nothing is computed; only a module whose path depends on values runs for real, on random ones.
    """
    parameters = sum(parameter.numel() for parameter in module.parameters())
    try:
        return Cost(parameters, *_count(_without_values(module), torch.empty(tuple(clip_shape), device="meta")))
    except (NotImplementedError, RuntimeError):
        like = next(module.parameters(), torch.empty(0))
        clip = torch.rand(tuple(clip_shape), device=like.device, dtype=like.dtype)
        return Cost(parameters, *_count(copy.deepcopy(module), clip))


def _count(module: nn.Module, clip: Tensor) -> tuple[int, int]:
    """All multiply-adds, and those of batched products and attention: layers with parameters use neither."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module.eval()(clip)
    flops = counter.get_flop_counts().get("Global", {})
    products = sum(count for operation, count in flops.items() if re.search(r"bmm|attention", str(operation)))
    return counter.get_total_flops() // 2, products // 2


def _without_values(module: nn.Module) -> nn.Module:
    """A copy whose tensors have shapes only; copying takes from ``memo`` what it finds there."""
    memo: dict[int, Tensor] = {}
    for parameter in module.parameters():
        memo[id(parameter)] = nn.Parameter(torch.empty_like(parameter, device="meta"), requires_grad=False)
    for buffer in module.buffers():
        memo[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(module, memo)
