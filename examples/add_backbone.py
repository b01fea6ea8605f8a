"""Put a network of timm behind the backbone contract, then under methods that know nothing of it.

    python examples/add_backbone.py --name convnext_atto --method rnl mbpm
The contract (videozoo/backbones/base.py): stem, stages of blocks and head, each on (B, T, C, H, W), and the channels
of every block. In the package itself this is one file and one entry in BACKBONES.
"""

import argparse
from functools import partial

import timm
import torch
from torch import nn

from videozoo import create_model
from videozoo.backbones import BACKBONES
from videozoo.backbones.base import Backbone, FrameWise
from videozoo.backbones.heads import FrameHead
from videozoo.clip_spec import ClipSpec


class FrameConvNeXt(Backbone):
    """A ConvNeXt of timm on every frame."""

    def __init__(self, body: nn.Module, num_classes: int, dropout: float) -> None:
        super().__init__()
        self.clip_spec = ClipSpec(frames=8, size=224, resize=256)
        self.num_features = body.num_features
        self.stem = FrameWise(body.stem)
        self.channels = []
        for stage, information in zip(body.stages, body.feature_info, strict=True):
            blocks = [nn.Sequential(stage.downsample, stage.blocks[0]), *stage.blocks[1:]]
            self.stages.append(nn.Sequential(*map(FrameWise, blocks)))
            self.channels.append([information["num_chs"]] * len(blocks))
        self.head = FrameHead(self.num_features, num_classes, dropout=dropout)

    @property
    def classifier(self) -> nn.Linear:
        return self.head.classifier


def convnext(num_classes, *, name, in_channels=3, dropout=0.5, pretrained=None):  # noqa: ANN001, ANN201
    """The factory that BACKBONES holds; ``pretrained`` is one of timm's tags, whose weights it fetches."""
    name = f"{name}.{pretrained}" if pretrained else name
    body = timm.create_model(name, pretrained=pretrained is not None, in_chans=in_channels, num_classes=0)
    return FrameConvNeXt(body, num_classes, dropout)


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--name", default="convnext_atto", help="a ConvNeXt of timm")
parser.add_argument("--method", nargs="+", default=["rnl", "mbpm"])
arguments = parser.parse_args()

BACKBONES[f"tsn_{arguments.name}"] = partial(convnext, name=arguments.name)  # tsn: no shift, frames are averaged
for method in ["", *(f"{method}_" for method in arguments.method)]:
    model = create_model(architecture := f"{method}tsn_{arguments.name}", num_classes=4).eval()
    with torch.inference_mode():
        scores = model(torch.randn(1, model.clip_spec.frames, 3, 64, 64))
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"{architecture}: {count / 1e6:.2f} M parameters, {model.clip_spec.frames} frames, {tuple(scores.shape)}")
