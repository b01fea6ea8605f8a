"""ResNets of the TSM authors' code (TSM, and TSN trained by the same code): ``module.base_model.layer1.0...``."""

from collections.abc import Collection, Mapping

from torch import Tensor

from videozoo.hub.layouts.layout import Layout, Rule, StateDict, check_shift, rename_keys

RULES: tuple[Rule, ...] = (
    (r"(?:module\.)?base_model\.(conv1|bn1)\.(\w+)", r"stem.module.\1.\2"),
    (
        r"(?:module\.)?base_model\.layer(\d)\.(\d+)\.((?:conv|bn)\d)(?:\.net)?\.(\w+)",
        lambda key: f"stages.{int(key[1]) - 1}.{key[2]}.branch.{key[3]}.{key[4]}",
    ),
    (
        r"(?:module\.)?base_model\.layer(\d)\.(\d+)\.downsample\.(.+)",
        lambda key: f"stages.{int(key[1]) - 1}.{key[2]}.shortcut.{key[3]}",
    ),
    (r"(?:module\.)?(?:new_fc|base_model\.fc)\.(\w+)", r"head.classifier.\1"),
)

# Blocks that the same code base puts into the same ResNet, and that need layouts of their own.
FOREIGN = (".nl.", ".cg.", ".path_c.", ".path_f.")


def recognise(keys: Collection[str]) -> bool:
    """A ResNet under ``base_model`` with nothing but shifts inside."""
    return any("base_model.layer1.0.conv1." in key for key in keys) and not any(
        foreign in key for key in keys for foreign in FOREIGN
    )


def rename(state: Mapping[str, Tensor], backbone: str) -> StateDict:
    """To the keys of ``tsm_resnet*`` or ``tsn_resnet*``."""
    check_shift(state, backbone)
    return rename_keys(state, RULES)


TSM_MIT = Layout("tsm_mit", recognise, rename)
