"""Attention blocks: the recorded arrays, what mathematics promises, and what they refuse."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from videozoo.attention import ATTENTION, affinity, create_attention
from videozoo.attention.affinity import affinity_weights, gather
from videozoo.attention.cbam import CBAM
from videozoo.attention.convolution_pyramid import ConvolutionPyramid
from videozoo.attention.global_context import GlobalContext
from videozoo.attention.non_local import NonLocal
from videozoo.attention.region_non_local import RegionNonLocal, region_summary
from videozoo.attention.squeeze_excitation import AdditiveSqueezeExcitation, ClipNorm, SqueezeExcitation
from videozoo.attention.tokens import to_features, to_tokens
from videozoo.errors import SettingError, UnknownNameError
from videozoo.evaluation.benchmark import saved_tensor_memory

STORED = Path(__file__).parent / "data" / "attention_blocks.npz"
IDENTITIES = ("nl", "rnl", "cpa", "se_added", "gc", "se_rnl", "se_cpa")


def parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def randomised(block):
    """The block with nothing at zero, so that every part counts."""
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    for module in block.modules():
        if hasattr(module, "running_mean"):
            torch.nn.init.normal_(module.running_mean, std=0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    return block.eval()


# ---- every registered block


@pytest.mark.parametrize("name", ATTENTION)
@pytest.mark.parametrize("shape", [(2, 3, 16, 5, 7), (1, 1, 16, 9, 4)])
def test_shape_gradient_and_saving(name, shape, tmp_path):
    block = randomised(create_attention(name, 16))
    features = torch.randn(shape, requires_grad=True)
    answer = block(features)
    assert answer.shape == shape
    answer.square().sum().backward()
    assert features.grad.isfinite().all()
    assert all(parameter.grad is not None for parameter in block.parameters())

    torch.save(block.state_dict(), tmp_path / "block.pt")
    again = create_attention(name, 16).eval()
    again.load_state_dict(torch.load(tmp_path / "block.pt", weights_only=True))
    assert torch.equal(again(features), answer)


@pytest.mark.parametrize("name", IDENTITIES)
def test_new_blocks_are_the_identity(name):
    features = torch.randn(2, 3, 16, 6, 5)
    block = create_attention(name, 16)
    assert torch.equal(block.train()(features), features)
    assert torch.equal(block.eval()(features), features)


@pytest.mark.parametrize("name", ATTENTION)
def test_one_clip_alone_can_be_trained_on(name):
    answer = create_attention(name, 16).train()(torch.randn(1, 3, 16, 6, 5))
    assert answer.isfinite().all()


@pytest.mark.parametrize("name", ATTENTION)
def test_memory_order_does_not_matter(name):
    block = randomised(create_attention(name, 16))
    features = torch.randn(2, 3, 16, 6, 5)
    channels_last = features.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3)
    torch.testing.assert_close(block(channels_last), block(features))


# ---- affinities without the matrix


@pytest.mark.parametrize(
    ("kind", "shared", "wide"),
    [("softmax", True, 1), ("softmax", True, 128), ("softmax", False, 1), ("dot", True, 1), ("dot", False, 1),
     ("relu", True, 1), ("relu", False, 1)],
)  # fmt: skip
def test_gathered_values_and_gradients_are_those_of_the_whole_matrix(kind, shared, wide, monkeypatch):
    monkeypatch.setattr(affinity, "WIDE", wide)
    monkeypatch.setattr(affinity, "BLOCK", 7)
    monkeypatch.setattr(affinity, "CHUNK", 200)
    query = torch.randn(2, 30, 6, dtype=torch.float64, requires_grad=True)
    key = query if shared else torch.randn(2, 22, 6, dtype=torch.float64, requires_grad=True)
    value = torch.randn(2, key.shape[1], 4, dtype=torch.float64, requires_grad=True)
    inputs = (query, value) if shared else (query, key, value)
    cotangent = torch.randn(2, 30, 4, dtype=torch.float64)
    expected = affinity_weights(query, key, kind) @ value
    answer = gather(query, key, value, kind)
    torch.testing.assert_close(answer, expected, rtol=1e-10, atol=1e-10)
    for own, wanted in zip(
        torch.autograd.grad(answer, inputs, cotangent), torch.autograd.grad(expected, inputs, cotangent), strict=True
    ):
        torch.testing.assert_close(own, wanted, rtol=1e-10, atol=1e-10)
    with torch.no_grad():
        torch.testing.assert_close(gather(query, key, value, kind), expected.detach(), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("wide", [1, 128])
def test_large_products_do_not_overflow(wide, monkeypatch):
    monkeypatch.setattr(affinity, "WIDE", wide)
    query = 100 * torch.randn(1, 40, 8, requires_grad=True)
    answer = gather(query, query, torch.randn(1, 40, 8), "softmax")
    answer.sum().backward()
    assert answer.isfinite().all()


@pytest.mark.parametrize(
    "block",
    [
        lambda: RegionNonLocal(8),
        lambda: RegionNonLocal(8, width=128),
        lambda: RegionNonLocal(8, form="cosine"),
        lambda: NonLocal(8),
        lambda: NonLocal(8, form="gaussian"),
    ],
)
def test_training_never_keeps_the_matrix(block):
    positions = 8 * 12 * 12
    features = torch.randn(1, 8, 8, 12, 12, requires_grad=True)
    assert saved_tensor_memory(lambda: block().train()(features)) < 0.6 * 4 * positions**2


def test_half_precision_on_the_cpu():
    block = randomised(RegionNonLocal(16, kernel="3x3x3"))
    features = torch.randn(1, 3, 16, 6, 5, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        answer = block(features)
    answer.float().sum().backward()
    torch.testing.assert_close(answer.float(), block(features), rtol=0.1, atol=0.1)


def test_tokens_and_back():
    features = torch.randn(2, 3, 4, 5, 6)
    assert torch.equal(to_features(to_tokens(features), (3, 5, 6)), features)


# ---- region-based non-local


def test_parameters_of_the_blocks():
    assert parameters(RegionNonLocal(512, kernel="3x7x7")) == 301_568
    assert parameters(RegionNonLocal(1024, kernel="3x3x3")) == 1_065_984
    assert parameters(RegionNonLocal(512, region="average")) == 263_936
    assert parameters(RegionNonLocal(512, region="maximum")) == 263_936
    assert parameters(NonLocal(512)) == 526_592
    assert parameters(NonLocal(1024)) == 2_101_760
    assert parameters(ConvolutionPyramid(512)) == 418


def test_gaussian_weights_sum_to_one():
    query = torch.randn(2, 30, 6)
    torch.testing.assert_close(affinity_weights(query, query, "softmax").sum(dim=-1), torch.ones(2, 30))


def test_cosine_weights_are_between_0_and_1_over_the_positions():
    block = randomised(RegionNonLocal(16, form="cosine"))
    query, key, _ = block.compared(torch.randn(2, 2, 16, 4, 5))
    weights = affinity_weights(query, key, "relu")
    assert weights.min() >= 0
    assert weights.max() <= (1 + 1e-6) / 40
    torch.testing.assert_close(weights.diagonal(dim1=1, dim2=2), torch.full((2, 40), 1 / 40))
    torch.testing.assert_close(weights, weights.transpose(1, 2))


def test_kernel_of_one_with_weight_one_is_the_non_local_block_with_shared_embeddings():
    region = randomised(RegionNonLocal(16, kernel="1x1x1"))
    region.summary.weight.data.fill_(1)
    plain = NonLocal(16).eval()
    for part in (plain.query, plain.key, plain.value):
        part.load_state_dict(region.embedding.state_dict())
    plain.output.load_state_dict(region.output.state_dict())
    plain.norm.load_state_dict(region.norm.state_dict())
    features = torch.randn(2, 3, 16, 4, 5)
    torch.testing.assert_close(region(features), plain(features), rtol=1e-4, atol=1e-4)


def test_channelwise_convolution_is_the_masked_grouped_one():
    from videozoo.hub.layouts.rnl import diagonal

    weight = torch.randn(64, 32, 3, 3, 3, requires_grad=True)
    mask = torch.zeros_like(weight)
    mask[torch.arange(64), torch.arange(64) % 32] = 1
    volume = torch.randn(1, 64, 3, 5, 4)
    grouped = F.conv3d(volume, weight * mask, padding=1, groups=2)
    own = F.conv3d(volume, diagonal(weight), padding=1, groups=64)
    torch.testing.assert_close(own, grouped, rtol=1e-4, atol=1e-4)
    gradients = [torch.autograd.grad(answer.square().sum(), weight)[0] for answer in (grouped, own)]
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("form", ["gaussian", "dot", "cosine", "relu"])
@pytest.mark.parametrize("region", ["convolution", "average", "maximum"])
def test_what_moves_inside_moves_in_the_answer(form, region):
    block = randomised(RegionNonLocal(8, form=form, region=region, kernel="3x3x3"))
    block.embedding.bias.data.zero_()  # so that the empty surroundings are zero up to the border
    features = torch.zeros(1, 5, 8, 14, 14)
    features[:, 2, :, 3:7, 4:8] = torch.randn(1, 8, 4, 4)
    moved = features.roll((1, 3, -1), dims=(1, 3, 4))
    torch.testing.assert_close(block(moved), block(features).roll((1, 3, -1), dims=(1, 3, 4)), rtol=1e-4, atol=1e-4)


def test_average_pooling_is_a_uniform_kernel_and_maximum_sees_no_zeros_beyond_the_border():
    volume = torch.randn(1, 4, 3, 5, 5) - 10
    uniform = region_summary("convolution", 4, (3, 3, 3))
    uniform.weight.data.fill_(1 / 27)
    torch.testing.assert_close(region_summary("average", 4, (3, 3, 3))(volume), uniform(volume))
    assert region_summary("maximum", 4, (3, 3, 3))(volume).max() < 0


@pytest.mark.parametrize("subsample", [False, True])
@pytest.mark.parametrize("kind", [RegionNonLocal, NonLocal])
def test_weights_of_one_position_are_a_row_of_the_matrix(kind, subsample):
    block = randomised(kind(16, subsample=subsample))
    features = torch.randn(2, 3, 16, 7, 5)
    query, key = block.compared(features)[:2]
    seen = block.weights(features, (1, 4, 2))
    assert seen.shape == (2, 3, 3, 2) if subsample else (2, 3, 7, 5)
    row = affinity_weights(query, key, "softmax")[:, (1 * 7 + 4) * 5 + 2]
    torch.testing.assert_close(seen.flatten(1), row)


# ---- convolution pyramid


def pyramid(**settings):
    return randomised(ConvolutionPyramid(8, **settings))


def test_pyramid_map_is_one_distribution_for_all_channels():
    features = torch.randn(2, 4, 8, 9, 10)
    for form, scale, added in (("literal", 1, 0), ("residual", 1, 1), ("rescaled", 4 * 9 * 10, 0)):
        block = pyramid(form=form)
        weights = block.attention(features)
        assert weights.min() >= 0
        torch.testing.assert_close(weights.sum(dim=(1, 2, 3)), torch.ones(2))
        expected = features * (added + scale * weights.unsqueeze(2))
        torch.testing.assert_close(block(features), expected)


def test_pyramid_of_a_constant_mean_is_uniform_inside():
    features = torch.randn(1, 5, 8, 12, 12)
    features -= features.mean(dim=2, keepdim=True) - 0.7
    inside = pyramid().attention(features)[:, 1:-1, 4:-4, 4:-4]
    torch.testing.assert_close(inside, inside.mean().expand_as(inside))


def test_pyramid_is_the_sum_of_its_convolutions():
    block = pyramid(kernels=("1x1x1", "3x3x3", "1x7x5"))
    mean = torch.randn(2, 1, 4, 9, 10)
    apart = sum(F.conv3d(mean, k, padding=[side // 2 for side in k.shape[2:]]) for k in block.kernels)
    merged = F.conv3d(mean, block.merged_kernel(), padding=(1, 3, 2))
    torch.testing.assert_close(merged, apart, rtol=1e-4, atol=1e-5)


# ---- channels


def test_added_excitation_is_constant_over_space_and_time():
    features = torch.randn(2, 3, 16, 4, 5)
    added = randomised(AdditiveSqueezeExcitation(16))(features) - features
    assert added.std() > 0.01
    torch.testing.assert_close(added, added.mean(dim=(1, 3, 4), keepdim=True).expand_as(added), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["se_rnl", "se_cpa"])
def test_chain_is_its_parts_one_after_the_other(name):
    chain = randomised(create_attention(name, 16))
    features = torch.randn(2, 3, 16, 4, 5)
    assert torch.equal(chain(features), chain.position(chain.channel(features)))
    assert not torch.equal(chain(features), chain.channel(chain.position(features)))


def test_clip_norm_sees_the_batch_or_what_is_stored():
    norm = ClipNorm(4).train()
    plain = torch.nn.BatchNorm1d(4).train()
    several = torch.randn(3, 4)
    torch.testing.assert_close(norm(several), plain(several))
    torch.testing.assert_close(norm(several[:1]), plain.eval()(several[:1]))


# ---- recorded arrays


def mapped(weights, names):
    """Upstream's weights under our names; sides of length 1 beyond what our layer has are dropped."""
    own = {}
    for upstream, name in names.items():
        for kind in ("weight", "bias", "running_mean", "running_var"):
            if f"{upstream}.{kind}" in weights:
                own[f"{name}.{kind}"] = weights[f"{upstream}.{kind}"]
    return own


RNL_NAMES = {"theta": "embedding", "penta": "summary", "W.0": "output", "W.1": "norm"}
NON_LOCAL_NAMES = {
    **{f"{upstream}{ending}": own for upstream, own in (("theta", "query"), ("phi", "key"), ("g", "value"))
       for ending in ("", ".0", ".conv", ".0.conv")},
    "W.0": "output", "W.1": "norm", "conv_out.conv": "output", "conv_out.bn": "norm", "concat_project.conv": "pair",
}  # fmt: skip
SE_NAMES = {"fc1": "squeeze", "fc2": "excite", "block.0": "squeeze", "block.2": "excite"}
CBAM_NAMES = {
    "ChannelGate.mlp.1": "channel.mlp.0", "ChannelGate.mlp.3": "channel.mlp.2",
    "SpatialGate.spatial.conv": "place.convolution", "SpatialGate.spatial.bn": "place.norm",
    "channel.fc1": "channel.mlp.0", "channel.fc2": "channel.mlp.2",
    "spatial.conv.conv": "place.convolution", "spatial.conv.bn": "place.norm",
}  # fmt: skip
GATE_NAMES = {
    "W_k": "key", "W_v1": "add.0", "bn1": "add.1", "W_v2": "add.3", "conv_mask": "key",
    **{f"channel_add_conv.{place}": f"add.{place}" for place in (0, 1, 3)},
    **{f"channel_mul_conv.{place}": f"multiply.{place}" for place in (0, 1, 3)},
}  # fmt: skip


def build_rnl(settings, weights):
    if "penta.weight" in weights:
        rows = torch.arange(len(weights["penta.weight"]))
        diagonal = weights["penta.weight"][rows, rows % weights["penta.weight"].shape[1]]
        weights["penta.weight"] = diagonal.unsqueeze(1)
    else:
        weights["penta.weight"] = torch.ones(8, 1, 1, 1, 1)  # upstream leaves a kernel of one out
    form = {"softmax": "gaussian", "relu": "relu"}[settings["activation"]]
    block = RegionNonLocal(
        settings["channels"], form=form, kernel=settings["kernel"],
        subsample=settings["sub_sample"], unit_length=settings["use_norm"],
    )  # fmt: skip
    return block, RNL_NAMES


def build_non_local(settings, weights):
    if "conv_out.conv.weight" in weights:  # mmcv leaves the bias out where a batch norm follows
        weights.setdefault("conv_out.conv.bias", torch.zeros(16))
    norm = "W.1.weight" in weights or "conv_out.bn.weight" in weights
    form = {"dot_product": "dot"}.get(settings["mode"], settings["mode"])
    block = NonLocal(
        settings["channels"], form=form, subsample=settings.get("sub_sample", False),
        scaled=settings.get("use_scale", False), norm=norm,
    )  # fmt: skip
    return block, NON_LOCAL_NAMES


def build_se(settings, weights):
    channels, width = settings["channels"], settings["squeeze"]
    block = SqueezeExcitation(channels, bias=True)
    # X3D rounds its bottleneck to a multiple of 8, which no reduction gives.
    block.squeeze, block.excite = torch.nn.Linear(channels, width), torch.nn.Linear(width, channels)
    return block, SE_NAMES


def build_cbam(settings, weights):
    block = CBAM(settings["channels"], reduction=settings["reduction"], places=not settings.get("no_spatial", False))
    if "channel.fc1.weight" in weights:  # timm: no biases, and the mean before the maximum
        weights["channel.fc1.bias"], weights["channel.fc2.bias"] = torch.zeros(4), torch.zeros(16)
        weights["spatial.conv.conv.weight"] = weights["spatial.conv.conv.weight"].flip(1)
    return block, CBAM_NAMES


def build_gate(settings, weights):
    if "ratio" not in settings:
        return GlobalContext(settings["channels"], reduction=settings["reduction"], norm="batch"), GATE_NAMES
    fusion = {1: settings["fusion"][0].removeprefix("channel_"), 2: "both"}[len(settings["fusion"])]
    pooling = {"att": "attention", "avg": "average"}[settings["pooling"]]
    fusion = {"mul": "multiply"}.get(fusion, fusion)
    return GlobalContext(settings["channels"], reduction=4, pooling=pooling, fusion=fusion), GATE_NAMES


BUILDERS = {
    "rnl": build_rnl,
    "non_local": build_non_local,
    "squeeze_excitation": build_se,
    "cbam": build_cbam,
    "channel_gate": build_gate,
}


def check_case(family, case, settings, arrays, prefix=""):
    recorded = {key.removeprefix(f"{prefix}{case}."): torch.from_numpy(arrays[key]) for key in arrays.files
                if key.startswith(f"{prefix}{case}.")}  # fmt: skip
    weights = {key[2:]: value for key, value in recorded.items() if key.startswith("w.")}
    block, names = BUILDERS[family](settings, weights)
    own = block.state_dict()
    state = {key: value.reshape(own[key].shape) for key, value in mapped(weights, names).items()}
    missing = own.keys() - state.keys()
    assert all(key.endswith("num_batches_tracked") for key in missing), missing
    assert len(state) == len([key for key in weights if not key.endswith("num_batches_tracked")])
    block.load_state_dict(state, strict=False)

    def ours(tensor):  # (B, C, H, W) or (B, C, T, H, W) -> (B, T, C, H, W)
        return (tensor.unsqueeze(2) if tensor.dim() == 4 else tensor).transpose(1, 2)

    features = ours(recorded["in"]).clone().requires_grad_()
    answer = block.train("train" in settings.get("mode", ""))(features)
    answer.backward(ours(recorded["cotangent"]))
    for got, wanted, tolerance in ((answer, "out", 1e-5), (features.grad, "grad_in", 3e-5)):
        wanted = ours(recorded[wanted])
        assert (got - wanted).abs().max() <= tolerance * wanted.abs().max()


SETTINGS = {
    ("rnl", "softmax_3x3x3_subsample_odd"): {
        "activation": "softmax", "channels": 16, "kernel": [3, 3, 3], "sub_sample": True, "use_norm": False,
    },
    ("rnl", "relu_normalised_3x3x3_subsample"): {
        "activation": "relu", "channels": 16, "kernel": [3, 3, 3], "sub_sample": True, "use_norm": True,
    },
    ("non_local", "mit_embedded_gaussian_subsample"): {
        "mode": "embedded_gaussian", "channels": 16, "sub_sample": True,
    },
    ("non_local", "mmcv_gaussian_subsample"): {"mode": "gaussian", "channels": 16, "sub_sample": True},
    ("squeeze_excitation", "torchvision_2d"): {"channels": 16, "squeeze": 4},
    ("cbam", "official_C16_r4"): {"channels": 16, "reduction": 4},
    ("channel_gate", "rnl_C32_r2"): {"channels": 32, "reduction": 2, "mode": "eval"},
    ("channel_gate", "gcnet_att_mul_add"): {
        "channels": 32, "ratio": 0.25, "pooling": "att", "fusion": ["channel_mul", "channel_add"],
    },
}  # fmt: skip


@pytest.mark.parametrize(("family", "case"), SETTINGS)
def test_stored_arrays(family, case):
    check_case(family, case, SETTINGS[family, case], np.load(STORED), prefix=f"{family}/")


@pytest.mark.realdata
@pytest.mark.parametrize("family", BUILDERS)
def test_all_recorded_arrays(family, reference):
    arrays, cases = reference(f"blocks/{family}.npz"), reference("blocks/index.json")[family]["cases"]
    checked = [case for case in cases if not case.startswith("depthwise")]
    for case in checked:
        check_case(family, case, cases[case], arrays)
    assert len(checked) >= 3


@pytest.mark.realdata
def test_recorded_attention_maps(reference):
    arrays, cases = reference("blocks/rnl.npz"), reference("blocks/index.json")["rnl"]["cases"]
    for case in ("softmax_3x7x7", "softmax_3x7x7_subsample", "relu_normalised_3x7x7"):
        weights = {
            key.removeprefix(f"{case}.w."): torch.from_numpy(arrays[key]) for key in arrays.files if f"{case}.w." in key
        }
        block, names = build_rnl(cases[case], weights)
        own = block.eval().state_dict()
        block.load_state_dict({k: v.reshape(own[k].shape) for k, v in mapped(weights, names).items()}, strict=False)
        features = torch.from_numpy(arrays[f"{case}.in"]).transpose(1, 2)
        with torch.no_grad():
            row = block.weights(features, (2, 3, 1)).flatten(1)
        _, _, height, width = features.shape[1:]
        expected = torch.from_numpy(arrays[f"{case}.attention"])[:, :, (2 * height + 3) * width + 1]
        torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-6)


# ---- wrong settings


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("nl", {"form": "cosine"}, "form 'cosine': allowed are gaussian, embedded_gaussian, dot, concatenation"),
        ("rnl", {"form": "softmax"}, "form 'softmax': allowed are gaussian, dot, cosine, relu"),
        ("rnl", {"region": "median"}, "region 'median': allowed are convolution, average, maximum"),
        ("rnl", {"kernel": "3x6x7"}, "kernel '3x6x7': must be three odd numbers"),
        ("rnl", {"kernel": "3x7"}, "kernel '3x7'"),
        ("rnl", {"kernel": (3, 7, -1)}, r"kernel \(3, 7, -1\)"),
        ("cpa", {"kernels": ()}, "at least one"),
        ("cpa", {"kernels": ("3x3x3", "2x2x2")}, "kernel '2x2x2'"),
        ("cpa", {"form": "plain"}, "form 'plain': allowed are rescaled, residual, literal"),
        ("se", {"reduction": 0}, "reduction 0: must be at least 1"),
        ("gc", {"norm": "group"}, "norm 'group': allowed are layer, batch"),
        ("se_rnl", {"form": "x"}, "form 'x'"),
    ],
)
def test_wrong_settings_say_what_is_allowed(name, settings, message):
    with pytest.raises(SettingError, match=message):
        create_attention(name, 16, **settings)


def test_unknown_attention():
    with pytest.raises(UnknownNameError, match="unknown attention 'rln': did you mean rnl"):
        create_attention("rln", 16)
