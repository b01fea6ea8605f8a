"""Batch norms that keep the statistics they come with, as in TSN's partial batch norm (TSN, section 3.3)."""

from typing import Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from videozoo.backbones.base import Attended
from videozoo.training.parameter_groups import backbones_of

BatchNormMode = Literal["train", "partial", "frozen"]
BATCH_NORM_MODES = ("train", "partial", "frozen")


def frozen_norms(network: nn.Module, mode: BatchNormMode) -> list[nn.Module]:
    """The batch norms of the backbones that stay as they are: all, or all but the first of each.

    Those that a method adds (attention, lateral connections, projections) always learn: their statistics come from no
    pre-training, and a scale that starts at zero would stay there.
    """
    if mode == "train":
        return []
    frozen: list[nn.Module] = []
    for backbone in backbones_of(network):
        added = {
            id(part)
            for module in backbone.modules()
            if isinstance(module, Attended)
            for part in module.attention.modules()
        }
        norms = [part for part in backbone.modules() if isinstance(part, _BatchNorm) and id(part) not in added]
        frozen += norms[1:] if mode == "partial" else norms
    return frozen
