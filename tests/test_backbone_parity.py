"""Backbones give the scores that upstream code gives with the same weights, renamed by the hub's layouts."""

import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from fill import fill_input, fill_state, fill_tensor
from safetensors.torch import save_file

from videozoo.backbones import BACKBONES
from videozoo.backbones.pretrained import adapt_input
from videozoo.errors import CheckpointError
from videozoo.hub.layouts import LAYOUTS

STORED = Path(__file__).parent / "data" / "networks.npz"

# Recorded network -> our backbone.
RECORDED = {
    "tsn_r50_mmaction2": "tsn_resnet50",
    "tsm_mobilenetv2_mmaction2": "tsm_mobilenet_v2",
    "x3d_xs": "x3d_xs",
    "bn_inception_cadene": "bn_inception",
    "inception_resnet_v2_timm": "inception_resnet_v2",
}
HEAVY = {
    "tsm_r50_mmaction2": "tsm_resnet50",
    "inception_resnet_v2_cadene": "inception_resnet_v2",
    "x3d_s": "x3d_s",
    "x3d_m": "x3d_m",
    "x3d_l": "x3d_l",
}

# Upstream module whose output was recorded -> part of our backbone.
PLACES = (
    (r"layer(\d)", lambda name: f"stages.{int(name[1]) - 1}"),
    (r"blocks\.0", lambda name: "stem"),
    (r"blocks\.([1-4])", lambda name: f"stages.{int(name[1]) - 1}"),
    (r"pool2_3x3_s2", lambda name: "stem"),
    (r"inception_3c_pool", lambda name: "stages.0.2.module.branches.pool"),
    (r"inception_4e_pool", lambda name: "stages.1.4.module.branches.pool"),
    (r"inception_5a_relu_1x1", lambda name: "stages.2.0.module.branches.1x1"),
    (r"conv2d_1a", lambda name: "stem"),
    (r"conv2d_4a", lambda name: "stages.0"),
    (r"repeat", lambda name: "stages.1"),
    (r"repeat_1", lambda name: "stages.2"),
    (r"block8", lambda name: "stages.3.10"),
    (r"conv2d_7b", lambda name: "stages.3"),
    (r"conv2", lambda name: "stages.6"),
)


class Recorded:
    """One recorded network: how to fill it, and what upstream answered."""

    def __init__(self, meta, arrays):
        self.meta = meta
        self.arrays = arrays

    def state(self):
        return fill_state(self.meta["keys"], self.meta["gain"])

    def clip(self, field="input"):
        filled = fill_input(*self.meta[field])
        return filled if filled.dim() == 5 else filled.unsqueeze(1)

    def backbone(self):
        state, name = self.state(), self.meta["backbone"]
        layouts = [layout for layout in LAYOUTS.values() if layout.recognise(state.keys())]
        assert len(layouts) == 1
        backbone = BACKBONES[name](self.meta["classes"]).eval()
        backbone.load_state_dict(layouts[0].rename(state, name))
        return backbone

    def assert_stages(self, outputs):
        for place, (first, last, mean_std) in self.stages().items():
            output = outputs[place]
            if output.dim() == 5:  # ours to upstream's order
                output = output.transpose(1, 2) if "blocks" in self.upstream[place] else output.flatten(0, 1)
            flat = output.flatten()
            assert_close(flat[:16], first, scale=flat)
            assert_close(flat[-16:], last, scale=flat)
            torch.testing.assert_close(flat.mean().item(), float(mean_std[0]), rtol=1e-3, atol=1e-4)
            torch.testing.assert_close(flat.std().item(), float(mean_std[1]), rtol=1e-3, atol=1e-4)

    def stages(self):
        """Our part -> first and last 16 values, mean and deviation; what each part is upstream is noted."""
        self.upstream, stages = {}, {}
        for key in self.arrays:
            match = re.fullmatch(r"stage\.(.+)\.first16", key)
            for pattern, place in PLACES if match else ():
                name = re.fullmatch(pattern, match[1])
                if name:
                    self.upstream[place(name)] = match[1]
                    stages[place(name)] = [
                        self.arrays[f"stage.{match[1]}.{k}"] for k in ("first16", "last16", "mean_std")
                    ]
        return stages


def assert_close(ours, recorded, *, scale=None, tolerance=1e-4):
    recorded = torch.as_tensor(np.asarray(recorded), dtype=ours.dtype)
    scale = recorded if scale is None else scale
    assert (ours - recorded).abs().max() <= tolerance * scale.abs().max()


def stored(name):
    """A recorded network out of tests/data."""
    arrays = {key[len(name) + 1 :]: value for key, value in np.load(STORED).items() if key.startswith(f"{name}.")}
    return Recorded(json.loads(arrays.pop("meta").tobytes()), arrays)


def beside(name, backbone, reference):
    """A recorded network out of shared/reference."""
    meta = reference("networks/index.json")[name]
    meta["backbone"] = backbone
    meta["keys"] = reference(f"networks/{name}.keys.json")
    meta["input"] = (meta.get("clip") or meta.get("image"))["fill_input"]
    return Recorded(meta, reference(f"networks/{name}.npz"))


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


def test_other_networks_of_the_same_code_are_not_mistaken(reference):
    for name in ("bqn_tsm_r50", "bqn_x3d_m", "rnl_tsm_r50"):
        keys = reference(f"networks/{name}.keys.json")
        recognised = [layout for layout in LAYOUTS if layout in OURS and LAYOUTS[layout].recognise(keys)]
        assert recognised == []


OURS = (
    "tsm_mit",
    "mmaction2_resnet",
    "mmaction2_mobilenet_v2",
    "pytorchvideo_x3d",
    "bn_inception",
    "inception_resnet_v2",
)


def small(name):
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
    state = small(name)
    renamed = LAYOUTS[layout].rename(state, backbone)
    with torch.device("meta"):
        own = BACKBONES[backbone](stored(name).meta["classes"]).state_dict()
    assert len(renamed) == len(state)
    assert {key: value.shape for key, value in renamed.items()} == {key: value.shape for key, value in own.items()}

    with pytest.raises(CheckpointError, match="stray"):
        LAYOUTS[layout].rename(state | {"stray.weight": torch.empty(1)}, backbone)


def test_shifted_weights_are_refused_by_an_unshifted_backbone():
    with pytest.raises(CheckpointError, match="temporal shift"):
        LAYOUTS["tsm_mit"].rename(small("tsm_r50_mit"), "tsn_resnet50")


def test_weights_without_the_parallel_prefix_are_the_same():
    state = small("tsm_r50_mit")
    bare = {key.removeprefix("module."): value for key, value in state.items()}
    assert LAYOUTS["tsm_mit"].recognise(bare)
    renamed = LAYOUTS["tsm_mit"].rename(bare, "tsm_resnet50")
    assert renamed.keys() == LAYOUTS["tsm_mit"].rename(state, "tsm_resnet50").keys()


def test_two_dimensional_norms_of_bn_inception_are_squeezed():
    state = small("bn_inception_tsm")
    wide = {key: value.unsqueeze(0) if "_bn." in key and value.dim() else value for key, value in state.items()}
    narrow = LAYOUTS["bn_inception"].rename(state, "bn_inception")
    for key, value in LAYOUTS["bn_inception"].rename(wide, "bn_inception").items():
        assert value.shape == narrow[key].shape


def test_a_network_trained_by_the_tsn_code_on_bn_inception_is_recognised():
    state = {
        f"module.new_{key}" if key.startswith("fc.") else f"module.base_model.{key}": value
        for key, value in small("bn_inception_tsm").items()
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
