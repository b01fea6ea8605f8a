"""Every backbone keeps the contract; the big ones are looked at without values, on the meta device."""

import copy
import pickle
from functools import cache

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

import videozoo.backbones.pretrained as pretrained_module
from videozoo.backbones import BACKBONES
from videozoo.backbones.residual import ResidualBlock
from videozoo.clip_spec import ClipSpec
from videozoo.errors import CheckpointError, SettingError

SMALL = ("tsn_resnet18", "tsm_resnet10_tiny", "tsm_mobilenet_v2", "bn_inception", "x3d_tiny")
# Looked at in full once by CI: they share their code with a smaller entry.
LARGE = ("resnet34", "resnet50", "resnet101", "inception_resnet_v2", "x3d_s", "x3d_m", "x3d_l")
EVERY = [pytest.param(name, marks=pytest.mark.slow) if name.endswith(LARGE) else name for name in BACKBONES]
FRAME_WISE = [name for name in BACKBONES if not name.startswith("x3d")]


def side(name):
    """Pixels that suffice; Inception-ResNet's unpadded convolutions need more."""
    return 96 if name == "inception_resnet_v2" else 64


def shapes_only(name, *arguments, **keywords):
    with torch.device("meta"):
        return BACKBONES[name](*arguments, **keywords)


@cache
def to_look_at(name):
    """One shapes-only network an entry, for tests that change nothing."""
    return shapes_only(name, 7).eval()


def first_convolution(backbone):
    return next(part for part in backbone.modules() if isinstance(part, nn.Conv2d | nn.Conv3d))


@pytest.fixture(params=SMALL)
def small(request):
    """A small backbone of each family, in eval mode, whose residual branches do not start at zero."""
    backbone = BACKBONES[request.param](5).eval()
    for part in backbone.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm3d):
            nn.init.ones_(part.weight)
    return backbone


@pytest.mark.parametrize("name", BACKBONES)
def test_every_part_keeps_five_dimensions_and_tells_its_channels(name):
    backbone = to_look_at(name)
    assert isinstance(backbone.clip_spec, ClipSpec)
    assert backbone.num_features == backbone.classifier.in_features
    assert backbone.classifier.out_features == 7
    assert [len(stage) for stage in backbone.stages] == [len(widths) for widths in backbone.channels]

    features = backbone.stem(torch.empty(2, 3, 3, side(name), side(name), device="meta"))
    for stage, widths in zip(backbone.stages, backbone.channels, strict=True):
        for block, width in zip(stage, widths, strict=True):
            features = block(features)
            assert features.shape[:3] == (2, 3, width)
            assert features.dim() == 5
    scores = backbone.forward_head(features)
    assert scores.shape == (2, 3 if name in FRAME_WISE else 1, 7)


@pytest.mark.parametrize("name", EVERY)
def test_any_length_and_size(name):
    backbone = to_look_at(name)
    spec = backbone.clip_spec
    for frames, height, width in ((1, side(name), side(name)), (5, side(name) + 5, side(name) + 20)):
        scores = backbone(torch.empty(1, frames, 3, height, width, device="meta"))
        assert scores.dim() == 3
        assert scores.shape[2] == 7
        if name in FRAME_WISE:
            assert scores.shape[1] == frames
    own = backbone(torch.empty(1, spec.frames, 3, spec.size, spec.size, device="meta"))
    assert own.shape == (1, spec.frames if name in FRAME_WISE else 1, 7)


@pytest.mark.parametrize("name", EVERY)
def test_the_gradient_reaches_the_first_convolution_of_any_width(name):
    backbone = shapes_only(name, 7, in_channels=10)
    first = first_convolution(backbone)
    assert first.in_channels == 10
    assert any(part is first for part in backbone.stem.modules())
    backbone(torch.empty(2, 3, 10, side(name), side(name), device="meta")).sum().backward()
    assert all(parameter.grad is not None for parameter in backbone.parameters())


@pytest.mark.parametrize("name", BACKBONES)
def test_there_is_one_dropout(name):
    rates = [part.p for part in to_look_at(name).modules() if isinstance(part, nn.Dropout)]
    assert rates in ([0.2], [0.5], [0.8])
    if name in SMALL:
        chosen = shapes_only(name, 7, dropout=0.125)
        assert [part.p for part in chosen.modules() if isinstance(part, nn.Dropout)] == [0.125]


@pytest.mark.parametrize("name", BACKBONES)
def test_attention_can_follow_any_block(name):
    backbone = copy.deepcopy(to_look_at(name))
    seen = []

    def factory(channels):
        seen.append(channels)
        return nn.Conv3d(1, 1, 1)

    last = len(backbone.stages) - 1
    backbone.attend({0: (0,), last: (len(backbone.channels[last]) - 1,)}, factory)
    assert seen == [backbone.channels[0][0], backbone.channels[last][-1]]
    with pytest.raises(SettingError, match="no block"):
        backbone.attend({last: (99,)}, factory)


@torch.no_grad()
def test_identity_attention_changes_nothing(small):
    clip = torch.randn(1, 3, 3, 64, 64)
    before = small(clip)
    small.attend({0: (0,), 2: (0, 1) if len(small.channels[2]) > 1 else (0,)}, lambda channels: nn.Identity())
    assert torch.equal(small(clip), before)


def test_values_reach_and_leave_every_parameter(small):
    small.train()
    nn.init.normal_(small.classifier.weight)
    scores = small(torch.randn(2, 3, 3, 64, 64))
    assert torch.isfinite(scores).all()
    scores.square().sum().backward()
    assert first_convolution(small).weight.grad.abs().max() > 0


@torch.no_grad()
def test_state_round_trip_and_copies(small, request):
    name = request.node.callspec.params["small"]
    clip = torch.randn(1, 3, 3, 64, 64)
    twin = BACKBONES[name](5).eval()
    twin.load_state_dict(small.state_dict())
    assert torch.equal(twin(clip), small(clip))
    assert torch.equal(copy.deepcopy(small)(clip), small(clip))
    assert torch.equal(pickle.loads(pickle.dumps(small))(clip), small(clip))  # to be sent to other processes


@torch.no_grad()
def test_clips_of_a_batch_do_not_see_each_other(small):
    clips = torch.randn(2, 3, 3, 64, 64)
    torch.testing.assert_close(small(clips)[:1], small(clips[:1]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(small(clips)[1:], small(clips[1:]), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_only_networks_with_time_see_other_frames(small, request):
    name = request.node.callspec.params["small"]
    nn.init.normal_(small.classifier.weight)
    clip = torch.randn(1, 4, 3, 64, 64)
    changed = clip.clone()
    changed[:, 0] = torch.randn(3, 64, 64)
    same = torch.allclose(small(clip)[:, -1], small(changed)[:, -1], rtol=1e-5, atol=1e-6)
    assert same == name.startswith(("tsn_", "bn_"))


@torch.no_grad()
def test_folded_time_needs_no_copy_of_channels_last_clips(small):
    clip = torch.randn(1, 3, 64, 64, 3).permute(0, 1, 4, 2, 3)
    torch.testing.assert_close(small(clip), small(clip.contiguous()), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("depth", "places"), [(50, 16), (101, 18)])
def test_where_a_resnet_shifts(depth, places):
    backbone = to_look_at(f"tsm_resnet{depth}")
    shifts = [[block.shift for block in stage] for stage in backbone.stages]
    if depth == 50:
        assert all(all(stage) for stage in shifts)
    else:  # 23 blocks in the third stage
        assert shifts == [[place % 2 == 0 for place in range(len(stage))] for stage in shifts]
    assert sum(map(sum, shifts)) == places
    plain = to_look_at(f"tsn_resnet{depth}")
    assert not any(block.shift for stage in plain.stages for block in stage)
    assert plain.state_dict().keys() == backbone.state_dict().keys()


def test_where_mobilenet_shifts():
    backbone = to_look_at("tsm_mobilenet_v2")
    shifted = [
        (stage, place)
        for stage, blocks in enumerate(backbone.stages)
        for place, block in enumerate(blocks)
        if isinstance(block, ResidualBlock) and block.shift
    ]
    expected = [(1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3), (4, 1), (4, 2), (5, 1), (5, 2)]
    assert shifted == expected


def test_the_fresh_classifier_is_small_and_centred():
    classifier = BACKBONES["bn_inception"](200).classifier
    assert classifier.weight.std().item() == pytest.approx(0.001, rel=0.05)
    assert not classifier.bias.any()


def test_x3d_gives_a_score_a_place_in_time_on_longer_clips():
    backbone = to_look_at("x3d_xs")
    assert backbone(torch.empty(1, 6, 3, 182, 182, device="meta")).shape == (1, 3, 7)


@pytest.fixture
def timm_offline(monkeypatch):
    """Weights of timm are drawn instead of fetched."""
    create, bodies = timm.create_model, []

    def drawn(name, *, pretrained=False, **keywords):
        body = create(name, **keywords)
        if pretrained:
            bodies.append((name, body.state_dict()))
        return body

    monkeypatch.setattr(pretrained_module.timm, "create_model", drawn)
    return bodies


@pytest.mark.parametrize("tag", ["tv_in1k", "resnet18.tv_in1k"])
def test_imagenet_weights_by_tag_or_full_name(timm_offline, tag):
    backbone = BACKBONES["tsm_resnet18"](5, pretrained=tag)
    ((name, weights),) = timm_offline
    assert name == "resnet18.tv_in1k"
    own = backbone.state_dict()
    assert torch.equal(own["stem.module.conv1.weight"], weights["conv1.weight"])
    assert torch.equal(own["stages.3.1.branch.conv2.weight"], weights["layer4.1.conv2.weight"])
    assert torch.equal(own["stages.2.0.shortcut.0.weight"], weights["layer3.0.downsample.0.weight"])


def test_imagenet_weights_for_flow_are_averaged_over_channels(timm_offline):
    backbone = BACKBONES["tsm_resnet18"](5, in_channels=10, pretrained="tv_in1k")
    ((_, weights),) = timm_offline
    mean = weights["conv1.weight"].mean(dim=1, keepdim=True)
    assert torch.equal(first_convolution(backbone).weight, mean.expand(-1, 10, -1, -1))


@pytest.mark.parametrize("name", ["tsm_resnet18", "x3d_tiny", "tsm_resnet10_tiny"])
def test_unknown_pretrained_names_say_what_is_known(name):
    with pytest.raises(SettingError, match="nonsense"):
        BACKBONES[name](5, pretrained="nonsense")


def test_weights_of_another_architecture_are_refused():
    with pytest.raises(SettingError, match="a timm tag of resnet18"):
        BACKBONES["tsm_resnet18"](5, pretrained="resnet50.tv_in1k")


def test_weights_that_cannot_be_fetched(monkeypatch):
    def refuse(*arguments, **keywords):
        raise OSError("no route to host\nand a long story")

    monkeypatch.setattr(pretrained_module.timm, "create_model", refuse)
    with pytest.raises(CheckpointError, match=r"resnet18\.tv_in1k.*no route to host$"):
        BACKBONES["tsm_resnet18"](5, pretrained="tv_in1k")


@pytest.mark.parametrize("name", ["tsm_resnet10_tiny", "x3d_tiny"])
def test_starting_from_a_file(name, tmp_path):
    trained = BACKBONES[name](5)
    path = tmp_path / "network.safetensors"
    save_file({f"backbone.{key}": value for key, value in trained.state_dict().items()}, path)

    other = BACKBONES[name](9, in_channels=2, pretrained=str(path))
    assert other.classifier.out_features == 9
    for key, value in trained.state_dict().items():
        if value.shape == other.state_dict()[key].shape:
            assert torch.equal(other.state_dict()[key], value)
    mean = first_convolution(trained).weight.mean(dim=1)
    torch.testing.assert_close(first_convolution(other).weight[:, 1], mean)


def test_files_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file(BACKBONES["x3d_tiny"](5).state_dict(), path)
    with pytest.raises(CheckpointError, match=r"other\.safetensors"):
        BACKBONES["tsm_resnet10_tiny"](5, pretrained=str(path))
    path.write_bytes(b"not tensors")
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        BACKBONES["tsm_resnet10_tiny"](5, pretrained=str(path))
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        BACKBONES["tsm_resnet10_tiny"](5, pretrained=str(tmp_path / "absent.safetensors"))
