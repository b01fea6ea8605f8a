"""Full precision inside mixed precision, for sums and quotients that half precision would spoil."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def full_precision(tensor: Tensor) -> AbstractContextManager[object]:
    """A context without autocast on the tensor's device; tensors without values (meta) know no autocast."""
    return nullcontext() if tensor.is_meta else torch.autocast(tensor.device.type, enabled=False)
