"""Inception-ResNet-v2 of timm (``classif``) and of pretrained-models.pytorch (``last_linear``), otherwise equal."""

import re
from collections.abc import Collection, Mapping

from torch import Tensor

from videozoo.backbones.inception_resnet import STAGES
from videozoo.hub.layouts.layout import Layout, Rule, StateDict, rename_keys


def _rules() -> tuple[Rule, ...]:
    """One rule a layer: its place in stage, block and block's row."""
    rules: list[Rule] = [
        (r"conv2d_1a\.(.+)", r"stem.module.\1"),
        (r"(?:last_linear|classif)\.(\w+)", r"head.classifier.\1"),
    ]
    for stage, blocks in enumerate(STAGES):
        for block, layers in enumerate(blocks):
            for place, layer in enumerate(layers):
                rules.append((re.escape(layer) + r"\.(.+)", rf"stages.{stage}.{block}.module.{place}.\1"))
    return tuple(rules)


RULES = _rules()


def recognise(keys: Collection[str]) -> bool:
    """The names of the first convolution and of the last residual block."""
    return "conv2d_1a.conv.weight" in keys and "block8.conv2d.weight" in keys


def rename(state: Mapping[str, Tensor], backbone: str) -> StateDict:
    """To the keys of ``inception_resnet_v2``."""
    return rename_keys(state, RULES)


INCEPTION_RESNET_V2 = Layout("inception_resnet_v2", recognise, rename)
