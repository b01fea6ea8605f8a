"""Convolutional block attention: which channels, then which places (Woo et al., CBAM, 2018), over space and time."""

import torch
from torch import Tensor, nn

from videozoo.attention.squeeze_excitation import squeezed_width


class ChannelGate(nn.Module):
    """x * sigmoid(MLP(mean) + MLP(maximum)), both over space and time, one MLP for the two.

    Shape: (B, T, C, H, W) -> (B, T, C, H, W).
    """

    def __init__(self, channels: int, *, reduction: int) -> None:
        super().__init__()
        width = squeezed_width(channels, reduction)
        self.mlp = nn.Sequential(nn.Linear(channels, width), nn.ReLU(inplace=True), nn.Linear(width, channels))

    def forward(self, features: Tensor) -> Tensor:
        scores = self.mlp(features.mean(dim=(1, 3, 4))) + self.mlp(features.amax(dim=(1, 3, 4)))
        return features * scores.sigmoid()[:, None, :, None, None]


class PlaceGate(nn.Module):
    """x * sigmoid(BN(convolution of the channels' maximum and mean)), frame by frame.

    Shape: (B, T, C, H, W) -> (B, T, C, H, W).
    """

    def __init__(self, *, kernel: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(1)

    def forward(self, features: Tensor) -> Tensor:
        frames = features.flatten(0, 1)
        compressed = torch.stack((frames.amax(dim=1), frames.mean(dim=1)), dim=1)
        gate = self.norm(self.convolution(compressed)).sigmoid()
        return features * gate.unflatten(0, features.shape[:2])


class CBAM(nn.Sequential):
    """The channel gate, then the place gate unless it is left out.

    Shape: (B, T, C, H, W) -> (B, T, C, H, W).
    """

    def __init__(self, channels: int, *, reduction: int = 16, kernel: int = 7, places: bool = True) -> None:
        super().__init__()
        self.add_module("channel", ChannelGate(channels, reduction=reduction))
        if places:
            self.add_module("place", PlaceGate(kernel=kernel))
