"""Backbones give the scores that upstream code gives with the same weights, renamed by the hub's layouts."""

import zlib

import pytest
import torch
from fill import fill_input, fill_tensor
from recorded import assert_close, beside, stored
from safetensors.torch import save_file

from videozoo.backbones import BACKBONES
from videozoo.backbones.pretrained import adapt_input

# Recorded network -> our backbone.
RECORDED = {
    "tsn_r50_mmaction2": "tsn_resnet50",
    "tsm_mobilenetv2_mmaction2": "tsm_mobilenet_v2",
    "x3d_xs": "x3d_xs",
    "bn_inception_cadene": "bn_inception",
}
HEAVY = {
    "tsm_r50_mmaction2": "tsm_resnet50",
    "inception_resnet_v2_timm": "inception_resnet_v2",
    "inception_resnet_v2_cadene": "inception_resnet_v2",
    "x3d_s": "x3d_s",
    "x3d_m": "x3d_m",
    "x3d_l": "x3d_l",
}


def exact_tolerance():
    """1e-10 where this machine draws the very bits of the recording, 1e-4 elsewhere (no AVX2)."""
    bits = zlib.crc32(fill_tensor("probe.conv.weight", (64, 3, 7, 7), 2.0).numpy().tobytes())
    return 1e-10 if bits == 0x90C4BB30 else 1e-4


@torch.no_grad()
def check(network, clips=2):
    backbone, outputs = network.backbone(), {}
    places = network.stages() if clips == 2 else {}
    for place in places:
        backbone.get_submodule(place).register_forward_hook(
            lambda module, inputs, output, place=place: outputs.update({place: output.clone()})
        )
    scores = backbone(network.clip()[:clips]).mean(dim=1)
    assert_close(scores, network.arrays["logits"][:clips])
    if places:
        network.assert_stages(outputs)


def test_filling_is_that_of_the_recordings(reference):
    for name, values in reference("fill_probe.npz").items():
        ours = fill_input(name, values.shape) if "/" in name else fill_tensor(name, values.shape, 2.0)
        torch.testing.assert_close(ours, torch.from_numpy(values), rtol=1e-5, atol=1e-5)


def test_tsm_resnet50_of_the_authors_code():
    check(stored("tsm_r50_mit"), clips=1)


@pytest.mark.parametrize("name", ["x3d_s", "bn_inception_tsm"])
def test_stored_networks(name):
    check(stored(name))


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_networks(name, reference):
    check(beside(name, RECORDED[name], reference))


@pytest.mark.slow
@pytest.mark.parametrize("name", HEAVY)
def test_heavy_recorded_networks(name, reference):
    check(beside(name, HEAVY[name], reference))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tsm_r50_mit", "x3d_s"])
@torch.no_grad()
def test_in_double_precision(name):
    network = stored(name)
    scores = network.backbone().double()(network.clip().double()).mean(dim=1)
    assert_close(scores, network.arrays["logits_f64"], tolerance=exact_tolerance())


@torch.no_grad()
def test_bn_inception_in_double_precision():
    network = stored("bn_inception_tsm")
    scores = network.backbone().double()(network.clip().double()).mean(dim=1)
    assert_close(scores, network.arrays["logits_f64"], tolerance=exact_tolerance())


@torch.no_grad()
def test_x3d_scores_every_position_of_a_larger_crop():
    network = stored("x3d_s")
    backbone, clip = network.backbone(), network.clip("large_input")
    features = backbone.forward_features(clip)
    positions = backbone.head.position_scores(features).movedim(-1, 1)
    assert_close(positions, network.arrays["position_logits"])
    assert_close(backbone.forward_head(features)[:, 0], network.arrays["position_logits"].mean(axis=(2, 3, 4)))


@pytest.mark.slow
@torch.no_grad()
def test_x3d_m_on_a_larger_crop(reference):
    network = beside("x3d_m", "x3d_m", reference)
    backbone = network.backbone()
    clip = fill_input(*network.meta["large_clip"]["fill_input"])
    positions = backbone.head.position_scores(backbone.forward_features(clip)).movedim(-1, 1)
    assert_close(positions, network.arrays["large.position_logits"])
    assert_close(positions.softmax(dim=1).mean(dim=(2, 3, 4)), network.arrays["large.softmax"])


@torch.no_grad()
def test_cross_modality_initialisation_of_bn_inception(tmp_path):
    network = stored("bn_inception_tsm")
    backbone = network.backbone()
    save_file(backbone.state_dict(), tmp_path / "rgb.safetensors")

    adapt_input(backbone, 10)
    first = backbone.stem.module.conv1.conv
    assert_close(first.weight, network.arrays["first_conv_slice"].repeat(10, axis=1), tolerance=1e-6)
    assert_close(first.bias, network.arrays["first_conv_bias"], tolerance=1e-6)
    flow = network.clip("flow_input")
    assert_close(backbone(flow).mean(dim=1), network.arrays["flow_logits"])

    same = BACKBONES["bn_inception"](1000, in_channels=10, pretrained=str(tmp_path / "rgb.safetensors")).eval()
    assert torch.equal(same(flow), backbone(flow))


def test_cross_modality_initialisation_for_rgb_differences(reference):
    network = beside("bn_inception_tsm", "bn_inception", reference)
    backbone = network.backbone()
    adapt_input(backbone, 15)
    assert_close(backbone.stem.module.conv1.conv.weight.detach(), network.arrays["first_conv.RGBDiff"], tolerance=1e-6)
