"""Upstream layouts are told apart, rename every tensor, and refuse what they do not know."""

import pytest
import torch
from recorded import stored

from videozoo.backbones import BACKBONES
from videozoo.errors import CheckpointError
from videozoo.hub.layouts import LAYOUTS

OURS = (
    "tsm_mit",
    "mmaction2_resnet",
    "mmaction2_mobilenet_v2",
    "pytorchvideo_x3d",
    "bn_inception",
    "inception_resnet_v2",
)


def weightless(name):
    """Upstream keys of a stored network with tensors that weigh nothing."""
    return {key: torch.empty(shape, device="meta") for key, shape in stored(name).meta["keys"].items()}


@pytest.mark.parametrize(
    ("name", "layout", "backbone"),
    [
        ("tsm_r50_mit", "tsm_mit", "tsm_resnet50"),
        ("x3d_s", "pytorchvideo_x3d", "x3d_s"),
        ("bn_inception_tsm", "bn_inception", "bn_inception"),
    ],
)
def test_every_tensor_is_used_and_every_parameter_filled(name, layout, backbone):
    state = weightless(name)
    renamed = LAYOUTS[layout].rename(state, backbone)
    with torch.device("meta"):
        own = BACKBONES[backbone](stored(name).meta["classes"]).state_dict()
    assert len(renamed) == len(state)
    assert {key: value.shape for key, value in renamed.items()} == {key: value.shape for key, value in own.items()}

    with pytest.raises(CheckpointError, match="stray"):
        LAYOUTS[layout].rename(state | {"stray.weight": torch.empty(1)}, backbone)


def test_shifted_weights_are_refused_by_an_unshifted_backbone():
    with pytest.raises(CheckpointError, match="temporal shift"):
        LAYOUTS["tsm_mit"].rename(weightless("tsm_r50_mit"), "tsn_resnet50")


def test_weights_without_the_parallel_prefix_are_the_same():
    state = weightless("tsm_r50_mit")
    bare = {key.removeprefix("module."): value for key, value in state.items()}
    assert LAYOUTS["tsm_mit"].recognise(bare)
    renamed = LAYOUTS["tsm_mit"].rename(bare, "tsm_resnet50")
    assert renamed.keys() == LAYOUTS["tsm_mit"].rename(state, "tsm_resnet50").keys()


def test_two_dimensional_norms_of_bn_inception_are_squeezed():
    state = weightless("bn_inception_tsm")
    wide = {key: value.unsqueeze(0) if "_bn." in key and value.dim() else value for key, value in state.items()}
    narrow = LAYOUTS["bn_inception"].rename(state, "bn_inception")
    for key, value in LAYOUTS["bn_inception"].rename(wide, "bn_inception").items():
        assert value.shape == narrow[key].shape


def test_a_network_trained_by_the_tsn_code_on_bn_inception_is_recognised():
    state = {
        f"module.new_{key}" if key.startswith("fc.") else f"module.base_model.{key}": value
        for key, value in weightless("bn_inception_tsm").items()
    }
    assert [name for name in OURS if LAYOUTS[name].recognise(state)] == ["bn_inception"]
    renamed = LAYOUTS["bn_inception"].rename(state, "bn_inception")
    assert len(renamed) == len(state)
    assert "head.classifier.weight" in renamed


def test_stored_means_of_mmaction2_are_dropped(reference):
    keys = reference("networks/tsn_r50_mmaction2.keys.json")
    state = {key: torch.empty(shape, device="meta") for key, shape in keys.items()}
    renamed = LAYOUTS["mmaction2_resnet"].rename(state | {"data_preprocessor.mean": torch.zeros(3)}, "tsn_resnet50")
    assert len(renamed) == len(state)


def test_other_networks_of_the_same_code_are_not_mistaken(reference):
    for name in ("bqn_tsm_r50", "bqn_x3d_m", "rnl_tsm_r50"):
        keys = reference(f"networks/{name}.keys.json")
        recognised = [layout for layout in LAYOUTS if layout in OURS and LAYOUTS[layout].recognise(keys)]
        assert recognised == []
