"""MobileNetV2 of the TSM authors' code: ``module.base_model.features.2.conv.0.net.weight``."""

import re
from collections.abc import Collection, Mapping

from torch import Tensor

from videozoo.hub.layouts.layout import Layout, Rule, StateDict, check_shift, rename_keys

PREFIX = r"(?:module\.)?(?:base_model\.)?"

# Blocks of each stage after the stem; upstream counts all of them through, from 1.
BLOCKS = (1, 2, 3, 4, 3, 3, 1)


def _home(number: int) -> tuple[int, int]:
    """Stage and block of the block that upstream gives a number."""
    number -= 1
    for stage, count in enumerate(BLOCKS):
        if number < count:
            return stage, number
        number -= count
    return len(BLOCKS), number


def _inverted_residual(key: re.Match[str]) -> str:
    """Upstream's Sequential is convolution, norm, activation, ...; that of the first block has two convolutions."""
    stage, block = _home(int(key[1]))
    place = int(key[2])
    names = ("conv_dw", "conv_pw") if stage == 0 else ("conv_pw", "conv_dw", "conv_pwl")
    layer = place // 3
    name = names[layer] if place % 3 == 0 else f"bn{layer + 1}"
    part = "module" if block == 0 else "branch"
    return f"stages.{stage}.{block}.{part}.{name}.{key[3]}"


RULES: tuple[Rule, ...] = (
    (PREFIX + r"features\.0\.0\.(\w+)", r"stem.module.conv_stem.\1"),
    (PREFIX + r"features\.0\.1\.(\w+)", r"stem.module.bn1.\1"),
    (PREFIX + r"features\.(\d|1[0-7])\.conv\.(\d)(?:\.net)?\.(\w+)", _inverted_residual),
    (PREFIX + r"features\.18\.0\.(\w+)", r"stages.6.1.module.conv_head.\1"),
    (PREFIX + r"features\.18\.1\.(\w+)", r"stages.6.1.module.bn2.\1"),
    (PREFIX + r"(?:new_fc|classifier)\.(\w+)", r"head.classifier.\1"),
)


def recognise(keys: Collection[str]) -> bool:
    """Numbered features with numbered convolutions in them, a batch norm right after each."""
    return any(re.fullmatch(PREFIX + r"features\.1\.conv\.4\.running_mean", key) for key in keys)


def rename(state: Mapping[str, Tensor], backbone: str) -> StateDict:
    """To the keys of ``tsm_mobilenet_v2``."""
    check_shift(state, backbone)
    return rename_keys(state, RULES)


TSM_MIT_MOBILENET = Layout("tsm_mit_mobilenet_v2", recognise, rename)
