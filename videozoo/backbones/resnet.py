"""ResNets on every frame: plain (TSN) or with the residual temporal shift (TSM, section 3)."""

from collections import OrderedDict
from typing import Any

from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import nn

from videozoo.backbones.base import Backbone, FrameWise
from videozoo.backbones.heads import FrameHead
from videozoo.backbones.pretrained import start_from, timm_body
from videozoo.backbones.residual import ResidualBlock
from videozoo.clip_spec import ClipSpec, Views

# From this depth of the third stage on, only every second block shifts (TSM and mmaction2, for ResNet-101).
SPARSE_SHIFT_BLOCKS = 23


class FrameResNet(Backbone):
    """A timm ResNet in the parts of the backbone contract."""

    head: FrameHead

    def __init__(self, body: Any, num_classes: int, *, shift: bool, dropout: float, clip_spec: ClipSpec) -> None:
        super().__init__()
        self.clip_spec = clip_spec
        self.num_features = body.num_features
        self.channels = []
        self.stem = FrameWise(
            nn.Sequential(OrderedDict(conv1=body.conv1, bn1=body.bn1, act1=body.act1, maxpool=body.maxpool))
        )
        every = 2 if len(body.layer3) >= SPARSE_SHIFT_BLOCKS else 1
        for layer in (body.layer1, body.layer2, body.layer3, body.layer4):
            blocks = [residual_block(block, shift=shift and place % every == 0) for place, block in enumerate(layer)]
            self.stages.append(nn.Sequential(*blocks))
            self.channels.append([body.feature_info[len(self.stages)]["num_chs"]] * len(blocks))
        self.head = FrameHead(self.num_features, num_classes, dropout=dropout)

    @property
    def classifier(self) -> nn.Linear:
        """The layer whose rows are the classes."""
        return self.head.classifier


def residual_block(block: BasicBlock | Bottleneck, *, shift: bool) -> ResidualBlock:
    """A block of timm with its branch apart from its shortcut; the last activation comes after their sum."""
    convolutions = 3 if isinstance(block, Bottleneck) else 2
    layers = [f"{kind}{place}" for place in range(1, convolutions + 1) for kind in ("conv", "bn", "act")]
    branch = nn.Sequential(OrderedDict((name, getattr(block, name)) for name in layers[:-1]))
    return ResidualBlock(branch, shift=shift, shortcut=block.downsample, activation=getattr(block, layers[-1]))


def tsn_resnet(
    num_classes: int, *, depth: int, in_channels: int = 3, dropout: float = 0.8, pretrained: str | None = None
) -> FrameResNet:
    """ResNet on single frames, as in TSN; ``pretrained`` is a timm tag such as ``tv_in1k``, or a safetensors file."""
    body = timm_body(f"resnet{depth}", in_channels=in_channels, pretrained=pretrained)
    spec = ClipSpec(frames=8, size=224, resize=256, views=Views(crops=10))
    backbone = FrameResNet(body, num_classes, shift=False, dropout=dropout, clip_spec=spec)
    start_from(backbone, pretrained, by_timm=True)
    return backbone


def tsm_resnet(
    num_classes: int, *, depth: int, in_channels: int = 3, dropout: float = 0.5, pretrained: str | None = None
) -> FrameResNet:
    """ResNet with the residual shift, an eighth of the channels each way; ``pretrained`` as in TSN."""
    body = timm_body(f"resnet{depth}", in_channels=in_channels, pretrained=pretrained)
    spec = ClipSpec(frames=8, size=224, resize=256)
    backbone = FrameResNet(body, num_classes, shift=True, dropout=dropout, clip_spec=spec)
    start_from(backbone, pretrained, by_timm=True)
    return backbone


def tsm_resnet10_tiny(
    num_classes: int, *, in_channels: int = 3, dropout: float = 0.2, pretrained: str | None = None
) -> FrameResNet:
    """Four basic blocks of 16 to 128 channels for clips of 64 to 112 pixels, 0.3 M parameters.

    The stem halves the resolution only once: what moves a few pixels in a small frame would stay inside one cell of
    a coarser grid. Made to be trained from scratch, it starts with branches and a classifier that are not near zero:
    only the branches know about motion. ``pretrained`` is a safetensors file.
    """
    body: Any = ResNet(
        BasicBlock,  # type: ignore[arg-type]  # timm annotates the instance
        (1, 1, 1, 1),
        in_chans=in_channels,
        stem_type="deep",
        stem_width=8,
        channels=(16, 32, 64, 128),
        zero_init_last=False,
    )
    body.maxpool = nn.Identity()
    spec = ClipSpec(frames=8, size=64, resize=64)
    backbone = FrameResNet(body, num_classes, shift=True, dropout=dropout, clip_spec=spec)
    nn.init.normal_(backbone.classifier.weight, std=0.01)
    start_from(backbone, pretrained)
    return backbone
