"""Busy-Quiet Net: two pathways, what they tell each other, and the recorded networks."""

import math

import pytest
import torch
from fill import fill_input, fill_state
from recorded import assert_close

from videozoo import create_model
from videozoo.backbones.lateral import LATERAL_DESIGNS
from videozoo.errors import SettingError
from videozoo.evaluation.cost import count_cost
from videozoo.hub.layouts import LAYOUTS
from videozoo.representations.band_pass import MotionBandPass

TINY = "tsm_resnet10_tiny"


def batch_for(model, size=32):
    spec = model.clip_spec
    channels = len(spec.mean)
    return {"clip": torch.randn(2, spec.frames, channels, size, size), "label": torch.tensor([0, 2])}


def loosen(network):
    """Lateral norms that start at zero become something, and their inputs matter."""
    for exchange in network.laterals.values():
        for lateral in exchange.children():
            torch.nn.init.ones_(lateral.norm.weight)


def test_bqn_starts_as_two_networks_that_do_not_talk():
    model = create_model(f"bqn_{TINY}", 4).eval()
    clip = batch_for(model, 35)["clip"]
    with torch.inference_mode():
        busy, quiet = model.network.inputs(clip)
        assert quiet.shape[-2:] == (22, 22)
        classifier = model.network.fusion.classifiers[0]
        scores = [
            classifier(pathway(seen)).mean(dim=1)
            for pathway, seen in ((model.network.busy, busy), (model.network.quiet, quiet))
        ]
        torch.testing.assert_close(model(clip), (scores[0] + scores[1]) / 2)


@pytest.mark.parametrize(("stages", "talks"), [((1, 3), "busy"), ((0, 2), "quiet")])
def test_bqn_speaks_to_busy_after_even_blocks_and_to_quiet_after_odd_ones(stages, talks):
    model = create_model(f"bqn_{TINY}", 4, lateral_places={stage: [0] for stage in stages}, share_classifier=False)
    network = model.network.train()
    loosen(network)
    features = {}
    network.busy.head.register_forward_hook(lambda module, inputs, output: features.update(busy=output))
    network.quiet.head.register_forward_hook(lambda module, inputs, output: features.update(quiet=output))
    model(batch_for(model)["clip"])
    for own, other in (("busy", "quiet"), ("quiet", "busy")):
        others = list(getattr(network, other).stages[0].parameters())
        gradients = torch.autograd.grad(features[own].sum(), others, retain_graph=True, allow_unused=True)
        reached = any(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)
        assert reached == (talks == own)


def test_bqn_sees_nothing_busy_in_a_still_clip():
    model = create_model(f"bqn_{TINY}", 4, quiet_input="average")
    clip = torch.randn(1, 1, 3, 32, 32).expand(-1, model.clip_spec.frames, -1, -1, -1)
    busy, quiet = model.network.inputs(clip)
    assert busy.abs().max() < 1e-6 * model.network.band_pass.space.abs().sum(dim=(1, 2, 3)).max()
    torch.testing.assert_close(quiet[:, 0], quiet[:, 1])


@pytest.mark.parametrize("shared", [True, False])
def test_bqn_fusions(shared):
    models = {
        kind: create_model(f"bqn_{TINY}", 4, fusion=kind, segments=2, share_classifier=shared).eval()
        for kind in ("average", "average_before", "max", "concatenation")
    }
    state = {key: value for key, value in models["average"].state_dict().items() if "fusion" not in key}
    clip, scores = batch_for(models["average"])["clip"], {}
    for kind, model in models.items():
        model.load_state_dict(state, strict=False)
        if kind != "concatenation":
            sources = models["average"].network.fusion.classifiers
            for own, source in zip(model.network.fusion.classifiers, sources, strict=False):
                own.load_state_dict(source.state_dict())
        with torch.inference_mode():
            scores[kind] = model(clip)
    if shared:
        torch.testing.assert_close(scores["average"], scores["average_before"])
    assert (scores["max"] >= scores["average"] - 1e-6).all()
    assert scores["concatenation"].shape == scores["average"].shape


@pytest.mark.parametrize("design", LATERAL_DESIGNS)
def test_bqn_designs(design):
    model = create_model(f"bqn_{TINY}", 4, lateral=design, to_quiet="bottleneck", to_busy="convolution", segments=2)
    directions = [
        (exchange.to_busy is not None, exchange.to_quiet is not None) for exchange in model.network.laterals.values()
    ]
    expected = {
        "lc_1": [(False, True)] * 4,
        "lc_2": [(True, False)] * 4,
        "lc_3": [(True, True)] * 4,
        "bplc": [(False, True), (True, False)] * 2,
        "lc_5": [(False, True), (True, False)] * 2,
    }
    assert directions == expected[design]
    loosen(model.network)
    model(batch_for(model, 37)["clip"]).sum().backward()
    filters = [module for module in model.network.laterals.modules() if isinstance(module, MotionBandPass)]
    assert len(filters) == {"lc_1": 0, "lc_2": 4, "lc_3": 4, "bplc": 2, "lc_5": 0}[design]
    if filters:
        assert filters[-1].space.shape[-1] == 3
        assert filters[0].space.shape[-1] == 7


@pytest.mark.parametrize(("quiet_input", "scale"), [("first_frame", 1.0), ("average", 0.5), ("complement", 0.8)])
def test_bqn_quiet_inputs_and_sizes(quiet_input, scale):
    model = create_model(
        f"bqn_{TINY}", 4, quiet_input=quiet_input, quiet_scale=scale, normalisation="l1", segments=2
    ).eval()
    clip = batch_for(model, 30)["clip"]
    busy, quiet = model.network.inputs(clip)
    segments = clip.unflatten(1, (2, 3))
    calm = {
        "first_frame": segments[:, :, 0],
        "average": segments.mean(dim=2),
        "complement": segments.mean(dim=2) - busy,
    }[quiet_input]
    assert quiet.shape[-1] == round(30 * scale)
    if scale == 1:
        assert torch.equal(quiet, calm)
    else:
        torch.testing.assert_close(quiet.mean(dim=(-2, -1)), calm.mean(dim=(-2, -1)), rtol=0.3, atol=0.1)
    assert model(clip).shape == (2, 4)


@pytest.mark.parametrize(
    ("arch", "options", "count"),
    [
        ("bqn_tsm_resnet50", {}, 47_678_506),
        ("bqn_x3d_m", {}, 7_083_660),
        *(
            pytest.param(*row, marks=pytest.mark.slow)
            for row in (
                ("bqn_tsm_resnet50", {"lateral": None}, 47_372_590 + 252),
                ("bqn_tsm_resnet50", {"to_quiet": "convolution"}, 55_673_898),
                ("bqn_tsm_resnet101", {"lateral": None}, 85_356_846 + 252),
                ("bqn_x3d_m", {"lateral": None}, 6_662_400 + 252),
                ("bqn_x3d_m", {"to_busy": "identity"}, 6_882_636),
                ("bqn_x3d_m", {"to_busy": "identity", "to_quiet": "identity"}, 6_710_988),
                ("bqn_x3d_m", {"to_busy": "identity", "share_classifier": True}, 6_526_110),
            )
        ),
    ],
)
def test_bqn_parameters(arch, options, count):
    with torch.device("meta"):
        network = create_model(arch, 174, **options).network
    assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize(
    ("arch", "segments", "busy", "quiet", "gmacs"),
    [  # Tables 5.3, 5.8 and 5.9, without lateral connections, as the thesis counts them.
        ("bqn_tsm_resnet50", 8, 256, 160, 59.81),
        *(
            pytest.param(*row, marks=pytest.mark.slow)
            for row in (
                ("bqn_tsm_resnet50", 8, 224, 224, 65.72),
                ("bqn_tsm_resnet50", 8, 224, 192, 57.05),
                ("bqn_tsm_resnet50", 8, 224, 160, 49.71),
                ("bqn_tsm_resnet50", 8, 224, 128, 43.70),
                ("bqn_tsm_resnet50", 8, 256, 224, 75.82),
                ("bqn_tsm_resnet50", 8, 256, 192, 67.15),
                ("bqn_tsm_resnet50", 8, 256, 128, 53.80),
                ("bqn_tsm_resnet50", 16, 256, 160, 119.6),
                ("bqn_tsm_resnet101", 16, 256, 160, 227.5),
            )
        ),
        ("bqn_x3d_m", 16, 256, 160, 9.37),
    ],
)
def test_bqn_costs_what_the_thesis_counts(arch, segments, busy, quiet, gmacs):
    with torch.device("meta"):
        model = create_model(arch, 174, segments=segments, lateral=None, quiet_scale=quiet / busy)
    macs = count_cost(model.network, (1, 3 * segments, 3, busy, busy)).macs
    dropped = 2 * segments * 3 * 81 * busy**2  # the frames that the thesis' order of steps filters as well
    assert (macs + dropped) / 1e9 == pytest.approx(gmacs, rel=0.01)


@pytest.mark.slow
def test_single_pathways_cost_what_the_thesis_counts():
    """Tables 5.3 and 5.9: each pathway alone; table 5.8: pathways that see different numbers of segments."""

    def gmacs(arch, frames, size, classes=174):
        with torch.device("meta"):
            network = create_model(arch, classes).network
        return count_cost(network, (1, frames, 3, size, size)).macs / 1e9

    def band_pass(segments, size):  # all three frames filtered in space, in the thesis' order
        return (3 * segments * 3 * 81 + segments * 3 * 3) * size**2 / 1e9

    assert gmacs("tsm_resnet50", 8, 224) == pytest.approx(32.8, rel=0.01)
    assert gmacs("tsm_resnet50", 8, 224) + band_pass(8, 224) == pytest.approx(33.01, rel=0.001)
    assert gmacs("tsm_resnet50", 16, 224) == pytest.approx(65.43, rel=0.001)
    assert gmacs("x3d_m", 16, 256) == pytest.approx(6.181, rel=0.001)
    fewer_small = gmacs("tsm_resnet50", 8, 256) + band_pass(8, 256) + gmacs("tsm_resnet50", 6, 160)
    assert fewer_small == pytest.approx(55.5, rel=0.01)
    fewer = gmacs("tsm_resnet50", 8, 224) + band_pass(8, 224) + gmacs("tsm_resnet50", 4, 224)
    assert fewer == pytest.approx(49.4, rel=0.01)


def test_bqn_refuses_what_it_does_not_know():
    for options, text in (
        ({"quiet_input": "last_frame"}, "first_frame, average, complement"),
        ({"quiet_scale": 0}, "quiet_scale 0: must be positive"),
        ({"lateral": "lc_9"}, "bplc"),
        ({"fusion": "product"}, "concatenation"),
        ({"to_quiet": "linear"}, "bottleneck"),
        ({"lateral_places": {0: [1]}}, "stage0_block1"),
    ):
        with pytest.raises(SettingError, match=text):
            create_model(f"bqn_{TINY}", 4, **options)


@pytest.mark.parametrize(
    ("name", "arch", "layout"),
    [("bqn_tsm_r50", "bqn_tsm_resnet50", "bqn_resnet"), ("bqn_x3d_m", "bqn_x3d_m", "bqn_x3d")],
)
def test_bqn_layouts_fill_every_tensor(name, arch, layout, reference):
    keys = reference(f"networks/{name}.keys.json")
    state = {key: torch.empty(shape, device="meta") for key, shape in keys.items()}
    assert [found for found in LAYOUTS if LAYOUTS[found].recognise(state.keys())] == [layout]
    renamed = LAYOUTS[layout].rename(state, arch)
    with torch.device("meta"):
        own = create_model(arch, 174).network.state_dict()
    assert {key: value.shape for key, value in renamed.items()} == {key: value.shape for key, value in own.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "arch", "layout"),
    [("bqn_tsm_r50", "bqn_tsm_resnet50", "bqn_resnet"), ("bqn_x3d_m", "bqn_x3d_m", "bqn_x3d")],
)
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_bqn_gives_the_recorded_scores(name, arch, layout, precision, reference):
    meta = reference("networks/index.json")[name]
    arrays = reference(f"networks/{name}.npz")
    state = fill_state(reference(f"networks/{name}.keys.json"), meta["gain"])
    network = create_model(arch, meta["classes"]).network.eval()
    network.load_state_dict(LAYOUTS[layout].rename(state, arch))
    clip = fill_input(*meta["clip"]["fill_input"])
    double = precision == "float64"
    if double:
        network, clip = network.double(), clip.double()
    with torch.inference_mode():
        busy, _ = network.inputs(clip)
        scores = network(clip)
    assert_close(busy[0, 0, :, :32, :32], arrays["mbpm.first_frame_top_left"], tolerance=1e-5)
    assert_close(busy[-1, -1, :, -32:, -32:], arrays["mbpm.last_frame_bottom_right"], tolerance=1e-5)
    assert_close(scores, arrays["logits_f64" if double else "logits"], tolerance=1e-9 if double else 1e-4)
    assert math.isfinite(scores.sum())
