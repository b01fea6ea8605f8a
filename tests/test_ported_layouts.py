"""Layouts of ports: networks built here under upstream's names answer the same after renaming."""

import re

import pytest
import torch
import torchvision
from recorded import stored
from torch import nn

from videozoo.backbones import BACKBONES
from videozoo.errors import CheckpointError
from videozoo.hub.layouts import LAYOUTS


def as_pyslowfast(key):
    """A key of our X3D as PySlowFast calls it."""
    for pattern, name in (
        (r"stem\.module\.conv\.conv_t", "s1.pathway0_stem.conv_xy"),
        (r"stem\.module\.conv\.conv_xy", "s1.pathway0_stem.conv"),
        (r"stem\.module\.norm", "s1.pathway0_stem.bn"),
        (r"head\.pre_conv", "head.conv_5"),
        (r"head\.pre_norm", "head.conv_5_bn"),
        (r"head\.post_conv", "head.lin_5"),
        (r"head\.classifier", "head.projection"),
        (r"branch1_conv", "branch1"),
        (r"branch1_norm", "branch1_bn"),
        (r"branch2\.norm_b\.1\.block\.0", "branch2.se.fc1"),
        (r"branch2\.norm_b\.1\.block\.2", "branch2.se.fc2"),
        (r"branch2\.norm_b\.0", "branch2.b_bn"),
        (r"branch2\.norm_([ac])", r"branch2.\1_bn"),
        (r"branch2\.conv_([abc])", r"branch2.\1"),
    ):
        key = re.sub(pattern, name, key)
    return re.sub(r"stages\.(\d)\.(\d+)\.module", lambda m: f"s{int(m[1]) + 2}.pathway0_res{m[2]}", key)


def as_mmaction2(key):
    """A key of our X3D as mmaction2 calls it."""
    for pattern, name in (
        (r"stem\.module\.conv\.conv_t", "backbone.conv1_s.conv"),
        (r"stem\.module\.conv\.conv_xy", "backbone.conv1_t.conv"),
        (r"stem\.module\.norm", "backbone.conv1_t.bn"),
        (r"head\.pre_conv", "backbone.conv5.conv"),
        (r"head\.pre_norm", "backbone.conv5.bn"),
        (r"head\.post_conv", "cls_head.fc1"),
        (r"head\.classifier", "cls_head.fc2"),
        (r"branch1_conv", "downsample.conv"),
        (r"branch1_norm", "downsample.bn"),
        (r"branch2\.norm_b\.1\.block\.0", "se_module.fc1"),
        (r"branch2\.norm_b\.1\.block\.2", "se_module.fc2"),
        (r"branch2\.norm_b\.0", "conv2.bn"),
        (r"branch2\.norm_a", "conv1.bn"),
        (r"branch2\.norm_c", "conv3.bn"),
        (r"branch2\.conv_a", "conv1.conv"),
        (r"branch2\.conv_b", "conv2.conv"),
        (r"branch2\.conv_c", "conv3.conv"),
    ):
        key = re.sub(pattern, name, key)
    return re.sub(r"stages\.(\d)\.(\d+)\.module", lambda m: f"backbone.layer{int(m[1]) + 1}.{m[2]}", key)


def randomise(network):
    for module in network.modules():
        if isinstance(module, nn.BatchNorm3d | nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)


@pytest.fixture(scope="module")
def x3d_with_first_norm():
    """PySlowFast's X3D: as ours, but with a batch norm on the first shortcut; and its answer to a clip."""
    torch.manual_seed(3)
    network = BACKBONES["x3d_xs"](7).eval()
    network.stages[0][0].module.branch1_norm = nn.BatchNorm3d(24).eval()
    randomise(network)
    clip = torch.randn(2, 4, 3, 64, 64)
    with torch.inference_mode():
        return network.state_dict(), clip, network(clip)


@pytest.mark.parametrize(("layout", "called"), [("pyslowfast_x3d", as_pyslowfast), ("mmaction2_x3d", as_mmaction2)])
def test_ports_of_x3d_answer_the_same_without_the_first_norm(layout, called, x3d_with_first_norm):
    state, clip, expected = x3d_with_first_norm
    upstream = {called(key): value for key, value in state.items()}
    if layout == "mmaction2_x3d":
        upstream["cls_head.fc1.weight"] = upstream["cls_head.fc1.weight"].flatten(1)
    assert [name for name in LAYOUTS if LAYOUTS[name].recognise(upstream)] == [layout]

    ours = BACKBONES["x3d_xs"](7).eval()
    ours.load_state_dict(LAYOUTS[layout].rename(upstream, "x3d_xs"))
    with torch.inference_mode():
        torch.testing.assert_close(ours(clip), expected, rtol=1e-4, atol=1e-5)

    key = called("stages.0.0.module.branch1_norm.running_var")
    with pytest.raises(CheckpointError, match="incomplete"):
        LAYOUTS[layout].rename({name: value for name, value in upstream.items() if name != key}, "x3d_xs")
    with pytest.raises(CheckpointError, match=r"no rule .*stray"):
        LAYOUTS[layout].rename(upstream | {"stray": torch.zeros(1)}, "x3d_xs")


@pytest.mark.parametrize("prefix", ["", "module."])
def test_image_resnets_answer_the_same_frame_by_frame(prefix):
    upstream = torchvision.models.resnet18(weights=None).eval()
    randomise(upstream)
    state = {f"{prefix}{key}": value for key, value in upstream.state_dict().items()}
    assert [name for name in LAYOUTS if LAYOUTS[name].recognise(state)] == ["torchvision_resnet"]
    ours = BACKBONES["tsn_resnet18"](1000).eval()
    ours.load_state_dict(LAYOUTS["torchvision_resnet"].rename(state, "tsn_resnet18"))
    clip = torch.randn(1, 2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(ours(clip)[0], upstream(clip[0]), rtol=1e-4, atol=1e-4)
    with pytest.raises(CheckpointError, match="tsn_resnet"):
        LAYOUTS["torchvision_resnet"].rename(state, "tsm_resnet18")


def as_mit_mobilenet(key):
    """A key of mmaction2's MobileNetV2 as the TSM authors call it: blocks counted through, layers in one Sequential."""
    if key.startswith("cls_head"):
        return key.replace("cls_head.fc_cls", "module.new_fc")
    key = key.replace("backbone.conv1.conv", "features.0.0").replace("backbone.conv1.bn", "features.0.1")
    key = key.replace("backbone.conv2.conv", "features.18.0").replace("backbone.conv2.bn", "features.18.1")
    blocks = (1, 2, 3, 4, 3, 3, 1)

    def block(match):
        number = sum(blocks[: int(match[1]) - 1]) + int(match[2]) + 1
        place = 3 * int(match[3]) + (match[5] == "bn")
        return f"features.{number}.conv.{place}{match[4] or ''}"

    return "module.base_model." + re.sub(r"backbone\.layer(\d)\.(\d)\.conv\.(\d)(\.net)?\.(conv|bn)", block, key)


def test_mobilenet_of_the_tsm_authors(reference):
    shapes = reference("networks/tsm_mobilenetv2_mmaction2.keys.json")
    state = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    mit = {as_mit_mobilenet(key).replace(".conv.net.", ".net."): value for key, value in state.items()}
    assert [name for name in LAYOUTS if LAYOUTS[name].recognise(mit)] == ["tsm_mit_mobilenet_v2"]
    expected = LAYOUTS["mmaction2_mobilenet_v2"].rename(state, "tsm_mobilenet_v2")
    renamed = LAYOUTS["tsm_mit_mobilenet_v2"].rename(mit, "tsm_mobilenet_v2")
    assert {key: id(value) for key, value in renamed.items()} == {key: id(value) for key, value in expected.items()}


def test_no_layout_mistakes_another():
    for name in ("tsm_r50_mit", "x3d_s", "bn_inception_tsm"):
        assert sum(layout.recognise(stored(name).meta["keys"]) for layout in LAYOUTS.values()) == 1
