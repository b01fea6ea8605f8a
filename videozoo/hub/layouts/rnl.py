"""Region-based non-local networks of their authors: TSM's layout with ``block``, ``nl`` and ``cg`` inside.

Their channel-wise convolution is stored with 32 input channels a group, beside a mask of its diagonal: what is off the
diagonal never counts. Channel i's own kernel is number i % 32 of its row.
"""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from videozoo.hub.layouts.attended import place_of, rename_attended
from videozoo.hub.layouts.layout import Layout, StateDict, check_shift
from videozoo.hub.layouts.tsm_mit import RULES

DROPPED = (r".+\.penta\.mask",)

PARTS = {
    r"nl\.theta": "attention.embedding",
    r"nl\.penta": "attention.summary",
    r"nl\.W\.0": "attention.output",
    r"nl\.W\.1": "attention.norm",
    r"cg\.W_k": "block.attention.key",
    r"cg\.W_v1": "block.attention.add.0",
    r"cg\.bn1": "block.attention.add.1",
    r"cg\.W_v2": "block.attention.add.3",
}


def recognise(keys: Collection[str]) -> bool:
    """The authors' own name of the channel-wise convolution."""
    return any(key.endswith(".nl.penta.weight") for key in keys)


def rename(state: Mapping[str, Tensor], backbone: str) -> StateDict:
    """To the keys of ``tsm_resnet*`` inside ``rnl`` with ``chain="authors"``."""
    check_shift(state, backbone)
    gated = {place_of(key) for key in state if ".cg." in key}
    fitting = {key: _fit(key, value) for key, value in state.items()}
    return rename_attended(fitting, RULES, PARTS, dropped=DROPPED, twice=gated)


def diagonal(weight: Tensor) -> Tensor:
    """Channel i's own kernel. Shape: (C, 32, t, h, w) -> (C, 1, t, h, w)."""
    channels = torch.arange(len(weight), device=weight.device)
    return weight[channels, channels % weight.shape[1]].unsqueeze(1)


def _fit(key: str, value: Tensor) -> Tensor:
    """Convolutions over single positions lose the sides of length 1 that ours do not have."""
    if key.endswith("penta.weight"):
        return diagonal(value)
    if key.endswith("cg.W_k.weight"):
        return value.flatten(1)
    return value.squeeze(-1) if value.dim() == 5 else value


RNL = Layout("rnl", recognise, rename, DROPPED)
