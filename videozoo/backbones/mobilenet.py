"""MobileNetV2 with the residual temporal shift (TSM, section 4.2; mmaction2's tsm-mobilenetv2)."""

from collections import OrderedDict
from typing import Any

from timm.layers.norm_act import BatchNormAct2d
from torch import nn

from videozoo.backbones.base import Backbone, FrameWise
from videozoo.backbones.heads import FrameHead
from videozoo.backbones.pretrained import start_from, timm_body
from videozoo.backbones.residual import ResidualBlock, split_norm
from videozoo.clip_spec import ClipSpec


class FrameMobileNetV2(Backbone):
    """timm's MobileNetV2 in seven stages; the last convolution, to 1280 channels, is a block of the seventh.

    Blocks with a shortcut shift (all of them expand their channels); blocks without one do not.
    """

    head: FrameHead
    middle_stages = (2, 3)

    def __init__(self, body: Any, num_classes: int, *, dropout: float, clip_spec: ClipSpec) -> None:
        super().__init__()
        self.clip_spec = clip_spec
        self.num_features = body.num_features
        self.stem = FrameWise(layers_in_order(body, ("conv_stem", "bn1")))
        stages = [[inverted_residual(block) for block in stage] for stage in body.blocks]
        stages[-1].append(FrameWise(layers_in_order(body, ("conv_head", "bn2"))))
        self.stages.extend(nn.Sequential(*blocks) for blocks in stages)
        self.channels = [[_last_width(block) for block in blocks] for blocks in stages]
        self.head = FrameHead(self.num_features, num_classes, dropout=dropout)

    @property
    def classifier(self) -> nn.Linear:
        """The layer whose rows are the classes."""
        return self.head.classifier


def inverted_residual(block: Any) -> nn.Module:
    """A block of timm with its branch apart from its shortcut, where it has one."""
    if hasattr(block, "conv_pwl"):
        branch = layers_in_order(block, ("conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3"))
    else:  # the very first block does not expand
        branch = layers_in_order(block, ("conv_dw", "bn1", "conv_pw", "bn2"))
    return ResidualBlock(branch, shift=True) if block.has_skip else FrameWise(branch)


def layers_in_order(module: Any, names: tuple[str, ...]) -> nn.Sequential:
    """The named layers in a row, each norm followed by its activation."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name in names:
        layer = getattr(module, name)
        if isinstance(layer, BatchNormAct2d):
            layers[name], layers[name.replace("bn", "act")] = split_norm(layer)
        else:
            layers[name] = layer
    return nn.Sequential(layers)


def tsm_mobilenet_v2(
    num_classes: int, *, in_channels: int = 3, dropout: float = 0.5, pretrained: str | None = None
) -> FrameMobileNetV2:
    """MobileNetV2 with the residual shift; ``pretrained`` is a timm tag of mobilenetv2_100 or a safetensors file."""
    body = timm_body("mobilenetv2_100", in_channels=in_channels, pretrained=pretrained)
    spec = ClipSpec(frames=8, size=224, resize=256)
    backbone = FrameMobileNetV2(body, num_classes, dropout=dropout, clip_spec=spec)
    start_from(backbone, pretrained, by_timm=True)
    return backbone


def _last_width(block: nn.Module) -> int:
    """Output channels: those of the block's last convolution."""
    return [module.out_channels for module in block.modules() if isinstance(module, nn.Conv2d)][-1]
