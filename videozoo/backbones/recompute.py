"""Memory for time: features that the backward pass computes again instead of finding them kept."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recompute(part: nn.Module, clip: Tensor) -> Tensor:
    """``part(clip)``; in training only the clip is kept, and what happens inside the part is computed a second time.

    Shape: whatever the part does. The gradients and the batch norms' stored statistics are those of the plain call.
    """
    if not (part.training and torch.is_grad_enabled()):
        return part(clip)
    return checkpoint(part, clip, use_reentrant=False, context_fn=lambda: (nullcontext(), statistics_kept(part)))


@contextmanager
def statistics_kept(part: nn.Module) -> Iterator[None]:
    """Batch norms do not count what they see in here: the second pass would count every batch twice."""
    norms = [module for module in part.modules() if isinstance(module, _BatchNorm)]
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, (momentum, count) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, count
