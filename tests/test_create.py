"""Architectures by name, and the plain baselines."""

import pytest
import torch

from videozoo import create_model
from videozoo.backbones import BACKBONES
from videozoo.errors import SettingError, UnknownNameError
from videozoo.methods import METHODS
from videozoo.methods.create import BASELINES, baseline_of, list_architectures, parse_architecture, takes


@pytest.mark.parametrize("backbone", BACKBONES)
def test_every_backbone_has_exactly_one_plain_baseline(backbone):
    assert [method for method in BASELINES if takes(method, backbone)] == [baseline_of(backbone)]


def test_names_lead_to_method_and_backbone():
    assert parse_architecture("tsm_resnet50") == ("tsm", "tsm_resnet50")
    assert parse_architecture("x3d_m") == ("x3d", "x3d_m")
    for name in list_architectures():
        method, backbone = parse_architecture(name)
        assert name in (backbone, f"{method}_{backbone}")
        assert method in METHODS


@pytest.mark.parametrize("arch", ["tsm_resnet10_tiny", "x3d_tiny", "tsn_resnet18"])
def test_baseline_averages_the_scores_of_its_backbone_over_time(arch):
    model = create_model(arch, 5, dropout=0.0).eval()
    clip = torch.randn(2, model.clip_spec.frames, 3, 64, 64)
    with torch.inference_mode():
        frames = model.network.backbone(clip)
        scores = model(clip)
    assert scores.shape == (2, 5)
    torch.testing.assert_close(scores, frames.mean(dim=1))


def test_saved_hyperparameters_rebuild_the_network():
    model = create_model("tsm_resnet10_tiny", 3, dropout=0.1)
    saved = {name: value for name, value in model.hparams.items() if name != "optimization"}
    assert saved == {
        "backbone": "tsm_resnet10_tiny", "num_classes": 3, "dropout": 0.1, "in_channels": 3, "pretrained": None,
    }  # fmt: skip
    again = type(model)(**saved)
    again.load_state_dict(model.state_dict())


def test_dropout_reaches_the_head():
    assert create_model("tsm_resnet10_tiny", 3, dropout=0.3).network.backbone.head.dropout.p == 0.3


def test_wrong_names_say_what_there_is():
    with pytest.raises(UnknownNameError, match="unknown architecture 'tsm_resnet5O': did you mean tsm_resnet50"):
        create_model("tsm_resnet5O")
    with pytest.raises(SettingError, match="unknown hyperparameter 'drop_out', allowed are dropout, in_channels"):
        create_model("x3d_tiny", 4, drop_out=0.5)
    with pytest.raises(SettingError, match="dropout 2: must be from 0 to 1"):
        create_model("x3d_tiny", 4, dropout=2)
    for classes in (0, -1, True, 2.5):
        with pytest.raises(SettingError, match="num_classes"):
            create_model("x3d_tiny", classes)
