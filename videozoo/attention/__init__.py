"""Attention blocks: features in, features of the same shape out, one file an idea."""

from collections.abc import Callable
from typing import Any

from torch import nn

from videozoo.attention.cbam import CBAM
from videozoo.attention.chain import AttentionChain
from videozoo.attention.convolution_pyramid import ConvolutionPyramid
from videozoo.attention.global_context import GlobalContext
from videozoo.attention.non_local import NonLocal
from videozoo.attention.region_non_local import RegionNonLocal
from videozoo.attention.squeeze_excitation import AdditiveSqueezeExcitation, SqueezeExcitation
from videozoo.errors import UnknownNameError


def _chained(channels: int, channel: str, position: str, **settings: Any) -> nn.Module:
    return AttentionChain(create_attention(channel, channels), create_attention(position, channels, **settings))


ATTENTION: dict[str, Callable[..., nn.Module]] = {
    "nl": NonLocal,
    "rnl": RegionNonLocal,
    "cpa": ConvolutionPyramid,
    "se": SqueezeExcitation,
    "se_added": AdditiveSqueezeExcitation,
    "gc": GlobalContext,
    "cbam": CBAM,
    "se_rnl": lambda channels, **settings: _chained(channels, "se_added", "rnl", **settings),
    "se_cpa": lambda channels, **settings: _chained(channels, "se_added", "cpa", **settings),
}


def create_attention(name: str, channels: int, **settings: Any) -> nn.Module:
    """A block for features of so many channels; the settings are those of the block's constructor.

    The settings of a chain (``se_rnl``, ``se_cpa``) are those of its second part.

    Raises:
        UnknownNameError: when there is no such block.
        SettingError: when a setting has a value that the block does not know.
    """
    if name not in ATTENTION:
        raise UnknownNameError("attention", name, ATTENTION)
    return ATTENTION[name](channels, **settings)
