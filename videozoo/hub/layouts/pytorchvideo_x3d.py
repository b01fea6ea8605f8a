"""X3D of PyTorchVideo: ``blocks.0.conv.conv_t.weight`` to ``blocks.5.proj.bias``; XS, S and M have equal shapes."""

from collections.abc import Collection, Mapping

from torch import Tensor

from videozoo.hub.layouts.layout import Layout, Rule, StateDict, rename_keys

RULES: tuple[Rule, ...] = (
    (r"blocks\.0\.(.+)", r"stem.module.\1"),
    (r"blocks\.([1-4])\.res_blocks\.(\d+)\.(.+)", lambda key: f"stages.{int(key[1]) - 1}.{key[2]}.module.{key[3]}"),
    (r"blocks\.5\.pool\.(.+)", r"head.\1"),
    (r"blocks\.5\.proj\.(\w+)", r"head.classifier.\1"),
)


def recognise(keys: Collection[str]) -> bool:
    """X3D's stem is the only one whose spatial convolution is called ``conv_t``."""
    return "blocks.0.conv.conv_t.weight" in keys and "blocks.5.proj.weight" in keys


def rename(state: Mapping[str, Tensor], backbone: str) -> StateDict:
    """To the keys of ``x3d_*``."""
    return rename_keys(state, RULES)


PYTORCHVIDEO_X3D = Layout("pytorchvideo_x3d", recognise, rename)
