"""ResNets on every frame: plain (TSN) or with the residual temporal shift (TSM, section 3)."""

from collections import OrderedDict

from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from torch import Tensor, nn

from videozoo.backbones.base import Backbone, FrameWise
from videozoo.backbones.heads import FrameHead
from videozoo.backbones.pretrained import start_from, timm_body
from videozoo.clip_spec import ClipSpec, Views
from videozoo.temporal.shift import temporal_shift

# From this depth of the third stage on, only every second block shifts (TSM and mmaction2, for ResNet-101).
SPARSE_SHIFT_BLOCKS = 23


class ResidualBlock(nn.Module):
    """A residual block on every frame; with ``shift``, its branch sees a little of the neighbouring frames.

    The shortcut stays unshifted, which keeps each frame's own information whole (TSM, figure 3b).
    Shape: (B, T, C, H, W) -> (B, T, C', H', W').
    """

    def __init__(self, block: BasicBlock | Bottleneck, *, shift: bool) -> None:
        super().__init__()
        self.shift = shift
        convolutions = 3 if isinstance(block, Bottleneck) else 2
        layers = [f"{kind}{place}" for place in range(1, convolutions + 1) for kind in ("conv", "bn", "act")]
        # The last activation comes after the sum.
        self.branch = nn.Sequential(OrderedDict((name, getattr(block, name)) for name in layers[:-1]))
        self.shortcut = block.downsample or nn.Identity()
        self.activation = getattr(block, layers[-1])

    def forward(self, clip: Tensor) -> Tensor:
        seen = temporal_shift(clip) if self.shift else clip
        features = self.branch(seen.flatten(0, 1))
        features += self.shortcut(clip.flatten(0, 1))
        return self.activation(features).unflatten(0, clip.shape[:2])


class FrameResNet(Backbone):
    """A timm ResNet in the parts of the backbone contract."""

    def __init__(self, body: ResNet, num_classes: int, *, shift: bool, dropout: float, clip_spec: ClipSpec) -> None:
        super().__init__()
        self.clip_spec = clip_spec
        self.num_features = body.num_features
        self.stem = FrameWise(
            nn.Sequential(OrderedDict(conv1=body.conv1, bn1=body.bn1, act1=body.act1, maxpool=body.maxpool))
        )
        layers = (body.layer1, body.layer2, body.layer3, body.layer4)
        self.channels = []
        every = 2 if len(body.layer3) >= SPARSE_SHIFT_BLOCKS else 1
        for layer in layers:
            blocks = [ResidualBlock(block, shift=shift and place % every == 0) for place, block in enumerate(layer)]
            self.stages.append(nn.Sequential(*blocks))
            self.channels.append([body.feature_info[len(self.stages)]["num_chs"]] * len(layer))
        self.head = FrameHead(self.num_features, num_classes, dropout=dropout)

    @property
    def classifier(self) -> nn.Linear:
        """The layer whose rows are the classes."""
        return self.head.classifier


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
    a coarser grid. ``pretrained`` is a safetensors file.
    """
    body = ResNet(
        BasicBlock, (1, 1, 1, 1), in_chans=in_channels, stem_type="deep", stem_width=8, channels=(16, 32, 64, 128)
    )
    body.maxpool = nn.Identity()
    spec = ClipSpec(frames=8, size=64, resize=64)
    backbone = FrameResNet(body, num_classes, shift=True, dropout=dropout, clip_spec=spec)
    start_from(backbone, pretrained)
    return backbone
