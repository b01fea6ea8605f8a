"""MobileNetV2 with real ImageNet weights knows what is in real pictures."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from videozoo.backbones import BACKBONES
from videozoo.backbones.residual import ResidualBlock


@pytest.mark.realdata
@torch.no_grad()
def test_mobilenet_of_imagenet_knows_pictures(shared):
    folder = shared("data/mobilenet_v2_imagenet")
    upstream = load_file(folder / "mobilenet_v2_1.0_224.safetensors")
    expected = np.load(folder / "expected.npz")
    backbone = BACKBONES["tsm_mobilenet_v2"](1001).eval()
    for part in backbone.modules():
        if isinstance(part, ResidualBlock):
            part.shift = False  # these weights are of single pictures
        elif isinstance(part, nn.BatchNorm2d):  # folded into the weights already
            part.running_var.fill_(1 - part.eps)
    convolutions = [part for part in backbone.modules() if isinstance(part, nn.Conv2d)]
    norms = [part for part in backbone.modules() if isinstance(part, nn.BatchNorm2d)]
    names = [line.split("\t")[1] for line in (folder / "layers.tsv").read_text().splitlines()]
    names = [name for name in names if f"{name}.weight" in upstream]
    assert len(names) == len(convolutions) + 1 == 53
    for name, convolution, norm in zip(names, convolutions, norms, strict=False):
        convolution.weight.copy_(upstream[f"{name}.weight"])
        norm.bias.copy_(upstream[f"{name}.bias"])
    backbone.classifier.weight.copy_(upstream["classifier.weight"].flatten(1))
    backbone.classifier.bias.copy_(upstream["classifier.bias"])

    clip = torch.from_numpy(expected["input_uint8"]).permute(0, 3, 1, 2).unsqueeze(1) / 127.5 - 1
    scores = backbone(clip)[:, 0]
    recorded = torch.from_numpy(expected["logits_symmetric_padding"]).float()
    assert (scores - recorded).abs().max() <= 1e-4 * recorded.abs().max()
    assert torch.equal(scores.argmax(dim=1), recorded.argmax(dim=1))
