"""BN-Inception on every frame (Ioffe and Szegedy 2015), in the Caffe form that TSN, PBNet and TVNet build on."""

from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videozoo.backbones.base import Backbone, FrameWise
from videozoo.backbones.heads import FrameHead
from videozoo.backbones.pretrained import start_from
from videozoo.clip_spec import ClipSpec

# What Caffe's ImageNet networks subtract from pixels 0..255, in the order blue, green, red.
CAFFE_MEAN = (104.0, 117.0, 128.0)


@dataclass(frozen=True)
class Widths:
    """Channels of an inception block's four branches; ``one`` and ``pool`` are 0 where the block halves the grid."""

    one: int
    three: tuple[int, int]
    double: tuple[int, int, int]
    pool: int
    pooling: str = "average"

    @property
    def total(self) -> int:
        """Channels that the convolutions of the block give."""
        return self.one + self.three[-1] + self.double[-1] + self.pool


STAGES: tuple[tuple[Widths, ...], ...] = (
    (
        Widths(64, (64, 64), (64, 96, 96), 32),
        Widths(64, (64, 96), (64, 96, 96), 64),
        Widths(0, (128, 160), (64, 96, 96), 0),
    ),
    (
        Widths(224, (64, 96), (96, 128, 128), 128),
        Widths(192, (96, 128), (96, 128, 128), 128),
        Widths(160, (128, 160), (128, 160, 160), 128),
        Widths(96, (128, 192), (160, 192, 192), 128),
        Widths(0, (128, 192), (192, 256, 256), 0),
    ),
    (
        Widths(352, (192, 320), (160, 224, 224), 128),
        Widths(352, (192, 320), (192, 224, 224), 128, pooling="max"),
    ),
)


def convolution(in_channels: int, channels: int, kernel: int, *, stride: int = 1) -> nn.Sequential:
    """Convolution with bias, batch norm, ReLU."""
    conv = nn.Conv2d(in_channels, channels, kernel, stride=stride, padding=kernel // 2)
    return nn.Sequential(OrderedDict(conv=conv, bn=nn.BatchNorm2d(channels), relu=nn.ReLU(inplace=True)))


class HalvingPool(nn.Module):
    """Max pooling beside convolutions of stride 2: Caffe's on even grids, as large as theirs on odd ones too.

    Caffe's rounding gives (n - 1) / 2 places on an odd grid of n, one less than its convolutions, which cannot be
    joined; there the windows are centred where the convolutions' are. Shape: (N, C, H, W) -> (N, C, H / 2, W / 2).
    """

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        return F.max_pool2d(images, 3, 2, padding=(height % 2, width % 2), ceil_mode=True)


class InceptionBlock(nn.Module):
    """Parallel 1x1, 3x3, double 3x3 and pooling branches, joined along the channels.

    Shape: (N, C, H, W) -> (N, C', H', W'), half the grid, rounded up, where ``widths.one`` is 0.
    """

    def __init__(self, in_channels: int, widths: Widths) -> None:
        super().__init__()
        stride = 1 if widths.one else 2
        self.channels = widths.total + (0 if widths.pool else in_channels)
        reduce, three = widths.three
        reduce_double, first, second = widths.double
        self.branches = nn.ModuleDict()
        if widths.one:
            self.branches["1x1"] = nn.Sequential(convolution(in_channels, widths.one, 1))
        self.branches["3x3"] = nn.Sequential(
            convolution(in_channels, reduce, 1),
            convolution(reduce, three, 3, stride=stride),
        )
        self.branches["double_3x3"] = nn.Sequential(
            convolution(in_channels, reduce_double, 1),
            convolution(reduce_double, first, 3),
            convolution(first, second, 3, stride=stride),
        )
        if widths.pool:
            pool = nn.MaxPool2d(3, 1, 1) if widths.pooling == "max" else nn.AvgPool2d(3, 1, 1)
            self.branches["pool"] = nn.Sequential(pool, convolution(in_channels, widths.pool, 1))
        else:
            self.branches["pool"] = HalvingPool()

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([branch(images) for branch in self.branches.values()], dim=1)


class FrameBNInception(Backbone):
    """BN-Inception: blocks 3a-3c, 4a-4e and 5a-5b are the stages; grids round up when halved, as in Caffe."""

    head: FrameHead
    middle_stages = (0, 1)

    def __init__(self, num_classes: int, *, in_channels: int, dropout: float, clip_spec: ClipSpec) -> None:
        super().__init__()
        self.clip_spec = clip_spec
        self.stem = FrameWise(
            nn.Sequential(
                OrderedDict(
                    conv1=convolution(in_channels, 64, 7, stride=2),
                    pool1=nn.MaxPool2d(3, 2, ceil_mode=True),
                    conv2_reduce=convolution(64, 64, 1),
                    conv2=convolution(64, 192, 3),
                    pool2=nn.MaxPool2d(3, 2, ceil_mode=True),
                )
            )
        )
        self.channels = []
        width = 192
        for stage in STAGES:
            blocks = []
            for widths in stage:
                blocks.append(InceptionBlock(width, widths))
                width = blocks[-1].channels
            self.stages.append(nn.Sequential(*(FrameWise(block) for block in blocks)))
            self.channels.append([block.channels for block in blocks])
        self.num_features = width
        self.head = FrameHead(width, num_classes, dropout=dropout)

    @property
    def classifier(self) -> nn.Linear:
        """The layer whose rows are the classes."""
        return self.head.classifier


def bn_inception(
    num_classes: int, *, in_channels: int = 3, dropout: float = 0.8, pretrained: str | None = None
) -> FrameBNInception:
    """BN-Inception on single frames of pixels 0..255 in the order BGR; ``pretrained`` is a safetensors file."""
    spec = ClipSpec(
        frames=8, size=224, resize=256, mean=CAFFE_MEAN, std=(1.0, 1.0, 1.0), value_range=255, channel_order="bgr"
    )
    backbone = FrameBNInception(num_classes, in_channels=in_channels, dropout=dropout, clip_spec=spec)
    start_from(backbone, pretrained)
    return backbone
