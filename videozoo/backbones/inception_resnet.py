"""Inception-ResNet-v2 on every frame (Szegedy et al. 2017), the body of TeSNet (thesis, section 3.3)."""

from typing import Any

from torch import nn

from videozoo.backbones.base import Backbone, FrameWise
from videozoo.backbones.heads import FrameHead
from videozoo.backbones.pretrained import start_from, timm_body
from videozoo.backbones.residual import split_norms
from videozoo.clip_spec import ClipSpec

# Names of the layers in timm's network, (name, name) one block: the stem is Conv2d_1a, then come the other plain
# convolutions, block A, block B and block C of the paper, each after the layers that lead to it.
STAGES: tuple[tuple[tuple[str, ...], ...], ...] = (
    (("conv2d_2a",), ("conv2d_2b", "maxpool_3a"), ("conv2d_3b",), ("conv2d_4a",)),
    (("maxpool_5a", "mixed_5b"), *((f"repeat.{place}",) for place in range(10))),
    (("mixed_6a",), *((f"repeat_1.{place}",) for place in range(20))),
    (("mixed_7a",), *((f"repeat_2.{place}",) for place in range(9)), ("block8",), ("conv2d_7b",)),
)
CHANNELS = [[32, 64, 80, 192], [320] * 11, [1088] * 21, [2080] * 11 + [1536]]


class FrameInceptionResNetV2(Backbone):
    """timm's Inception-ResNet-v2 cut after every layer that can be a place for something else."""

    head: FrameHead

    def __init__(self, body: Any, num_classes: int, *, dropout: float, clip_spec: ClipSpec) -> None:
        super().__init__()
        self.clip_spec = clip_spec
        self.num_features = body.num_features
        self.channels = [list(widths) for widths in CHANNELS]
        split_norms(body)
        self.stem = FrameWise(body.conv2d_1a)
        for blocks in STAGES:
            parts = [[body.get_submodule(name) for name in names] for names in blocks]
            self.stages.append(nn.Sequential(*(FrameWise(nn.Sequential(*layers)) for layers in parts)))
        self.head = FrameHead(self.num_features, num_classes, dropout=dropout)

    @property
    def classifier(self) -> nn.Linear:
        """The layer whose rows are the classes."""
        return self.head.classifier


def inception_resnet_v2(
    num_classes: int, *, in_channels: int = 3, dropout: float = 0.5, pretrained: str | None = None
) -> FrameInceptionResNetV2:
    """Inception-ResNet-v2 on single frames; ``pretrained`` is a timm tag or a safetensors file."""
    body = timm_body("inception_resnet_v2", in_channels=in_channels, pretrained=pretrained)
    half = (0.5, 0.5, 0.5)
    spec = ClipSpec(frames=8, size=299, resize=331, mean=half, std=half)
    backbone = FrameInceptionResNetV2(body, num_classes, dropout=dropout, clip_spec=spec)
    start_from(backbone, pretrained, by_timm=True)
    return backbone
