"""BN-Inception converted from Caffe: image weights (``last_linear`` or ``fc``) and TSN's (``module.base_model.``)."""

from collections.abc import Collection, Mapping

from torch import Tensor

from videozoo.backbones.bn_inception import STAGES
from videozoo.hub.layouts.layout import Layout, Rule, StateDict, rename_keys

PREFIX = r"(?:module\.)?(?:base_model\.)?"
STEM = {"conv1_7x7_s2": "conv1", "conv2_3x3_reduce": "conv2_reduce", "conv2_3x3": "conv2"}
# Convolutions of a block: branch, place in it. The pooling itself is place 0 of the last branch.
PLACES = {
    "1x1": ("1x1", 0),
    "3x3_reduce": ("3x3", 0),
    "3x3": ("3x3", 1),
    "double_3x3_reduce": ("double_3x3", 0),
    "double_3x3_1": ("double_3x3", 1),
    "double_3x3_2": ("double_3x3", 2),
    "pool_proj": ("pool", 1),
}


def _rules() -> tuple[Rule, ...]:
    """Two rules a convolution, one for its weights and one for its batch norm."""
    homes = {name: f"stem.module.{home}" for name, home in STEM.items()}
    for stage, blocks in enumerate(STAGES):
        for block in range(len(blocks)):
            for name, (branch, place) in PLACES.items():
                upstream = f"inception_{stage + 3}{'abcde'[block]}_{name}"
                homes[upstream] = f"stages.{stage}.{block}.module.branches.{branch}.{place}"
    rules: list[Rule] = [(PREFIX + r"(?:last_linear|fc|new_fc)\.(\w+)", r"head.classifier.\1")]
    for name, home in homes.items():
        rules.append((PREFIX + name + r"\.(\w+)", home + r".conv.\1"))
        rules.append((PREFIX + name + r"_bn\.(\w+)", home + r".bn.\1"))
    return tuple(rules)


RULES = _rules()


def recognise(keys: Collection[str]) -> bool:
    """Caffe's names of the first convolution and of the first inception block."""
    return any(key.endswith("conv1_7x7_s2.weight") for key in keys) and any("inception_3a_1x1" in key for key in keys)


def rename(state: Mapping[str, Tensor], backbone: str) -> StateDict:
    """To the keys of ``bn_inception``; batch-norm tensors stored as (1, C) become (C,)."""
    renamed = rename_keys(state, RULES)
    for key, value in renamed.items():
        if ".bn." in key and value.dim() == 2:
            renamed[key] = value.squeeze(0)
    return renamed


BN_INCEPTION = Layout("bn_inception", recognise, rename)
