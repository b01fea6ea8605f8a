"""TSM with non-local blocks: of the TSM authors (embedded Gaussian, subsampled keys), and of mmaction2 (any form)."""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from videozoo.hub.layouts import mmaction2, tsm_mit
from videozoo.hub.layouts.attended import rename_attended
from videozoo.hub.layouts.layout import Layout, StateDict, check_shift

# A part is followed by ``.0`` where a pooling of keys and values comes after it.
MIT_PARTS = {
    r"nl\.theta": "attention.query",
    r"nl\.phi(?:\.0)?": "attention.key",
    r"nl\.g(?:\.0)?": "attention.value",
    r"nl\.W\.0": "attention.output",
    r"nl\.W\.1": "attention.norm",
}
MMACTION2_PARTS = {
    r"non_local_block\.theta\.conv": "attention.query",
    r"non_local_block\.phi(?:\.0)?\.conv": "attention.key",
    r"non_local_block\.g(?:\.0)?\.conv": "attention.value",
    r"non_local_block\.conv_out\.conv": "attention.output",
    r"non_local_block\.conv_out\.bn": "attention.norm",
}


def recognise_mit(keys: Collection[str]) -> bool:
    """A block's ``nl`` with a value convolution ``g``."""
    return any(".nl.g." in key for key in keys)


def rename_mit(state: Mapping[str, Tensor], backbone: str) -> StateDict:
    """To the keys of ``tsm_resnet*`` inside ``nl`` with ``subsample``."""
    check_shift(state, backbone)
    return rename_attended(_without_depth(state), tsm_mit.RULES, MIT_PARTS)


def recognise_mmaction2(keys: Collection[str]) -> bool:
    """A block beside a ``non_local_block``."""
    return any(".non_local_block." in key for key in keys)


def rename_mmaction2(state: Mapping[str, Tensor], backbone: str) -> StateDict:
    """To the keys of ``tsm_resnet*`` inside ``nl`` with the checkpoint's form; an output without bias gets zeros."""
    check_shift(state, backbone)
    renamed = rename_attended(_without_depth(state), mmaction2.RESNET, MMACTION2_PARTS, dropped=mmaction2.DROPPED)
    for key, value in list(renamed.items()):
        if key.endswith("attention.output.weight"):
            renamed.setdefault(key.replace("weight", "bias"), torch.zeros(len(value), dtype=value.dtype))
    return renamed


def _without_depth(state: Mapping[str, Tensor]) -> StateDict:
    """Convolutions over single positions as ones over frames. Shape: (C', C, 1, 1, 1) -> (C', C, 1, 1)."""
    return {key: value.squeeze(-1) if value.dim() == 5 else value for key, value in state.items()}


TSM_MIT_NON_LOCAL = Layout("tsm_mit_non_local", recognise_mit, rename_mit)
MMACTION2_NON_LOCAL = Layout("mmaction2_non_local", recognise_mmaction2, rename_mmaction2, mmaction2.DROPPED)
