"""Busy-Quiet networks of the authors' code, on TSM's ResNets and on X3D-M, with the lateral connections they had."""

import re
from collections.abc import Collection, Mapping

from torch import Tensor

from videozoo.hub.layouts.layout import Layout, Rule, StateDict, rename_keys

ROOT = r"(?:module\.)?base_model\."
PATHWAYS = {"f": "busy", "c": "quiet"}
STEMS = {"": "quiet", "d_": "busy"}
FILTERS = {"s": "space", "t": "time"}
RECEIVERS = {"up": "to_busy", "down": "to_quiet"}


def _place(key: re.Match[str]) -> str:
    return f"laterals.stage{int(key[1]) - 1}_block{key[2]}"


INPUT_FILTER: Rule = (ROOT + r"mbpf1\.conv_([st])\.weight", lambda key: f"band_pass.{FILTERS[key[1]]}")

RESNET_RULES: tuple[Rule, ...] = (
    INPUT_FILTER,
    (ROOT + r"(d_|)(conv1|bn1)\.(\w+)", lambda key: f"{STEMS[key[1]]}.stem.module.{key[2]}.{key[3]}"),
    (
        ROOT + r"layer(\d)\.(\d+)\.path_([fc])\.((?:conv|bn)\d)(?:\.net)?\.(\w+)",
        lambda key: f"{PATHWAYS[key[3]]}.stages.{int(key[1]) - 1}.{key[2]}.branch.{key[4]}.{key[5]}",
    ),
    (
        ROOT + r"layer(\d)\.(\d+)\.path_([fc])\.downsample\.(.+)",
        lambda key: f"{PATHWAYS[key[3]]}.stages.{int(key[1]) - 1}.{key[2]}.shortcut.{key[4]}",
    ),
    (
        ROOT + r"layer(\d)\.(\d+)\.mbpf\.conv_([st])\.weight",
        lambda key: f"{_place(key)}.to_busy.band_pass.{FILTERS[key[3]]}",
    ),
    (
        ROOT + r"layer(\d)\.(\d+)\.(up|down)\.1\.(\w+)",
        lambda key: f"{_place(key)}.{RECEIVERS[key[3]]}.norm.{key[4]}",
    ),
    (ROOT + r"fc\.(\w+)", r"fusion.classifiers.0.\1"),
)

X3D_RULES: tuple[Rule, ...] = (
    INPUT_FILTER,
    (ROOT + r"blocks\.0\.path_([fc])\.(.+)", lambda key: f"{PATHWAYS[key[1]]}.stem.module.{key[2]}"),
    (
        ROOT + r"blocks\.([1-4])\.res_blocks\.(\d+)\.path_([fc])\.(.+)",
        lambda key: f"{PATHWAYS[key[3]]}.stages.{int(key[1]) - 1}.{key[2]}.module.{key[4]}",
    ),
    (
        ROOT + r"blocks\.([1-4])\.res_blocks\.(\d+)\.mbpf\.conv_([st])\.weight",
        lambda key: f"{_place(key)}.to_busy.band_pass.{FILTERS[key[3]]}",
    ),
    (
        ROOT + r"blocks\.([1-4])\.res_blocks\.(\d+)\.(up|down)\.1\.weight",
        lambda key: f"{_place(key)}.{RECEIVERS[key[3]]}.mapping.weight",
    ),
    (
        ROOT + r"blocks\.([1-4])\.res_blocks\.(\d+)\.(up|down)\.2\.(\w+)",
        lambda key: f"{_place(key)}.{RECEIVERS[key[3]]}.norm.{key[4]}",
    ),
    (ROOT + r"blocks\.5\.path_([fc])\.pool\.(.+)", lambda key: f"{PATHWAYS[key[1]]}.head.{key[2]}"),
    (
        ROOT + r"blocks\.5\.path_([fc])\.proj\.(\w+)",
        lambda key: f"fusion.classifiers.{'fc'.index(key[1])}.{key[2]}",
    ),
)


def recognise_resnet(keys: Collection[str]) -> bool:
    """Two pathways inside the layers of a ResNet."""
    return any("base_model.layer1.0.path_f." in key for key in keys)


def recognise_x3d(keys: Collection[str]) -> bool:
    """Two pathways inside the blocks of an X3D."""
    return any("base_model.blocks.0.path_f." in key for key in keys)


def rename_resnet(state: Mapping[str, Tensor], backbone: str) -> StateDict:
    """To the keys of the whole network of BQN on ``tsm_resnet*``."""
    return rename_keys(state, RESNET_RULES)


def rename_x3d(state: Mapping[str, Tensor], backbone: str) -> StateDict:
    """To the keys of the whole network of BQN on ``x3d_*``."""
    return rename_keys(state, X3D_RULES)


BQN_RESNET = Layout("bqn_resnet", recognise_resnet, rename_resnet)
BQN_X3D = Layout("bqn_x3d", recognise_x3d, rename_x3d)
