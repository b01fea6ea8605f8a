"""ResNets of images, as torchvision, timm and many others name them: ``layer1.0.conv1.weight``, ``fc.weight``."""

from collections.abc import Collection, Mapping

from torch import Tensor

from videozoo.errors import CheckpointError
from videozoo.hub.layouts.layout import Layout, Rule, StateDict, rename_keys

RULES: tuple[Rule, ...] = (
    (r"(?:module\.)?(conv1|bn1)\.(\w+)", r"stem.module.\1.\2"),
    (
        r"(?:module\.)?layer(\d)\.(\d+)\.((?:conv|bn)\d)\.(\w+)",
        lambda key: f"stages.{int(key[1]) - 1}.{key[2]}.branch.{key[3]}.{key[4]}",
    ),
    (
        r"(?:module\.)?layer(\d)\.(\d+)\.downsample\.(.+)",
        lambda key: f"stages.{int(key[1]) - 1}.{key[2]}.shortcut.{key[3]}",
    ),
    (r"(?:module\.)?fc\.(\w+)", r"head.classifier.\1"),
)


def recognise(keys: Collection[str]) -> bool:
    """The first convolutions and the classifier, with nothing around them."""
    bare = {key.removeprefix("module.") for key in keys}
    return {"conv1.weight", "layer1.0.conv1.weight", "fc.weight"} <= bare


def rename(state: Mapping[str, Tensor], backbone: str) -> StateDict:
    """To the keys of ``tsn_resnet*``: an image network has no shift."""
    if not backbone.startswith("tsn_"):
        raise CheckpointError(f"image weights are those of tsn_resnet*, which {backbone!r} is not")
    return rename_keys(state, RULES)


IMAGE_RESNET = Layout("torchvision_resnet", recognise, rename)
