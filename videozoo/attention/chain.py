"""The vision attention chain: first what is informative, then where and when (thesis 4.4, figure 4.6)."""

from collections import OrderedDict

from torch import nn


class AttentionChain(nn.Sequential):
    """Channel attention, then attention over positions.

    Shape: (B, T, C, H, W) -> (B, T, C, H, W).
    """

    def __init__(self, channel: nn.Module, position: nn.Module) -> None:
        super().__init__(OrderedDict(channel=channel, position=position))
