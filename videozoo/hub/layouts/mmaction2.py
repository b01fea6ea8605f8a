"""TSN and TSM of mmaction2, versions 0.x and 1.x alike: ``backbone.layer1.0.conv1.conv...``, ``cls_head.fc_cls``."""

import re
from collections.abc import Collection, Mapping

from torch import Tensor

from videozoo.hub.layouts.layout import Layout, Rule, StateDict, check_shift, rename_keys

# Means and deviations that version 1.x may store beside the weights; the ClipSpec has them.
DROPPED = (r"data_preprocessor\.\w+",)

CLASSIFIER: Rule = (r"cls_head\.fc_cls\.(\w+)", r"head.classifier.\1")

RESNET: tuple[Rule, ...] = (
    (r"backbone\.conv1\.conv\.(\w+)", r"stem.module.conv1.\1"),
    (r"backbone\.conv1\.bn\.(\w+)", r"stem.module.bn1.\1"),
    (
        r"backbone\.layer(\d)\.(\d+)\.conv(\d)\.(conv|bn)(?:\.net)?\.(\w+)",
        lambda key: f"stages.{int(key[1]) - 1}.{key[2]}.branch.{key[4]}{key[3]}.{key[5]}",
    ),
    (
        r"backbone\.layer(\d)\.(\d+)\.downsample\.(conv|bn)\.(\w+)",
        lambda key: f"stages.{int(key[1]) - 1}.{key[2]}.shortcut.{'0' if key[3] == 'conv' else '1'}.{key[4]}",
    ),
    CLASSIFIER,
)


def _inverted_residual(key: re.Match[str]) -> str:
    """Layer ``key[3]`` of block ``key[2]``; the first block of a stage has no shortcut and so no branch."""
    convolutions = ("conv_dw", "conv_pw") if key[1] == "1" else ("conv_pw", "conv_dw", "conv_pwl")
    layer = int(key[3])
    name = convolutions[layer] if key[4] == "conv" else f"bn{layer + 1}"
    part = "module" if key[2] == "0" else "branch"
    return f"stages.{int(key[1]) - 1}.{key[2]}.{part}.{name}.{key[5]}"


MOBILENET: tuple[Rule, ...] = (
    (r"backbone\.conv1\.conv\.(\w+)", r"stem.module.conv_stem.\1"),
    (r"backbone\.conv1\.bn\.(\w+)", r"stem.module.bn1.\1"),
    (r"backbone\.layer(\d)\.(\d+)\.conv\.(\d)(?:\.net)?\.(conv|bn)\.(\w+)", _inverted_residual),
    (r"backbone\.conv2\.conv\.(\w+)", r"stages.6.1.module.conv_head.\1"),
    (r"backbone\.conv2\.bn\.(\w+)", r"stages.6.1.module.bn2.\1"),
    CLASSIFIER,
)


def recognise_resnet(keys: Collection[str]) -> bool:
    """A 2D ResNet without non-local blocks, which mmaction2 stores inside the shifted layers."""
    return (
        any(key.startswith("backbone.layer1.0.conv1.conv.") for key in keys)
        and "cls_head.fc_cls.weight" in keys
        and not any("non_local" in key for key in keys)
    )


def recognise_mobilenet(keys: Collection[str]) -> bool:
    """A MobileNetV2, whose blocks hold a numbered list of convolutions."""
    return any(key.startswith("backbone.layer1.0.conv.0.conv.") for key in keys)


def rename_resnet(state: Mapping[str, Tensor], backbone: str) -> StateDict:
    """To the keys of ``tsm_resnet*`` or ``tsn_resnet*``."""
    check_shift(state, backbone)
    return rename_keys(state, RESNET, dropped=DROPPED)


def rename_mobilenet(state: Mapping[str, Tensor], backbone: str) -> StateDict:
    """To the keys of ``tsm_mobilenet_v2``."""
    check_shift(state, backbone)
    return rename_keys(state, MOBILENET, dropped=DROPPED)


MMACTION2_RESNET = Layout("mmaction2_resnet", recognise_resnet, rename_resnet, DROPPED)
MMACTION2_MOBILENET_V2 = Layout("mmaction2_mobilenet_v2", recognise_mobilenet, rename_mobilenet, DROPPED)
