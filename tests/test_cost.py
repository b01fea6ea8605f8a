"""Costs equal the published counts."""

import pytest
import torch
from torch import nn

from videozoo.backbones import BACKBONES
from videozoo.evaluation.cost import Cost, count_cost

# Backbone, classes, clip, parameters, 10^9 multiply-adds.
COUNTS = [
    ("tsn_resnet18", 400, (1, 1, 3, 224, 224), None, 1.814),
    ("tsn_resnet34", 400, (1, 1, 3, 224, 224), None, 3.664),
    ("tsn_resnet50", 400, (1, 1, 3, 224, 224), 24_327_632, 4.089),
    ("tsn_resnet50", 174, (1, 1, 3, 256, 256), 23_864_558, 5.340),
    ("tsn_resnet50", 174, (1, 1, 3, 160, 160), 23_864_558, 2.087),
    ("tsn_resnet101", 400, (1, 1, 3, 224, 224), None, 7.801),
    ("tsm_resnet50", 400, (1, 8, 3, 224, 224), 24_327_632, 32.71),
    ("tsm_resnet18", 400, (1, 8, 3, 224, 224), None, 14.508),
    ("x3d_xs", 400, (1, 4, 3, 160, 160), 3_794_274, 0.605),
    ("x3d_s", 400, (1, 13, 3, 160, 160), 3_794_274, 1.963),
    ("x3d_m", 400, (1, 16, 3, 224, 224), 3_794_274, 4.732),
    ("x3d_m", 174, (1, 16, 3, 256, 256), 3_331_200, 6.181),
    ("x3d_m", 400, (1, 16, 3, 160, 160), 3_794_274, 2.415),
    ("x3d_l", 400, (1, 16, 3, 312, 312), 6_153_384, 18.368),
    ("inception_resnet_v2", 1000, (1, 1, 3, 299, 299), 55_843_464, 13.154),
    ("bn_inception", 1000, (1, 1, 3, 224, 224), 11_295_240, None),
    ("tsm_mobilenet_v2", 400, (1, 1, 3, 224, 224), 2_736_272, None),
]


@pytest.mark.parametrize(("name", "classes", "clip", "parameters", "gmacs"), COUNTS)
def test_published_counts(name, classes, clip, parameters, gmacs):
    with torch.device("meta"):
        backbone = BACKBONES[name](classes)
    cost = count_cost(backbone, clip)
    if parameters is not None:
        assert cost.parameters == parameters
    if gmacs is not None:
        assert cost.macs / 1e9 == pytest.approx(gmacs, rel=0.01)


def test_bn_inception_has_10_37_million_parameters_for_ucf101():
    with torch.device("meta"):
        backbone = BACKBONES["bn_inception"](101)
    assert round(sum(parameter.numel() for parameter in backbone.parameters()) / 1e6, 2) == 10.37


@pytest.mark.parametrize("name", ["tsm_resnet10_tiny", "x3d_tiny"])
def test_tiny_networks_are_well_under_a_million(name):
    cost = count_cost(BACKBONES[name](4), (1, 8, 3, 64, 64))
    assert cost.parameters < 500_000
    assert cost.macs < 500e6


def test_counting_leaves_the_module_alone():
    module = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.BatchNorm1d(5)).train()
    before = {key: value.clone() for key, value in module.state_dict().items()}
    assert count_cost(module, (2, 1, 3, 2, 2)) == Cost(parameters=12 * 5 + 5 + 10, macs=2 * 12 * 5)
    assert all(part.training for part in module.modules())
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())


def test_a_path_that_depends_on_values_is_counted_for_real():
    class Picky(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 3)

        def forward(self, clip):
            return self.linear(clip) if clip.mean() > 0 else clip

    assert count_cost(Picky(), (2, 4)).macs == 24
