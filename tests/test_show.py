"""Pictures of where networks look: the drawing, the values drawn, and the command line."""

import pytest
import torch
from PIL import Image

from videozoo import create_model
from videozoo.attention.affinity import affinity_weights
from videozoo.cli import main
from videozoo.clip_spec import ClipSpec
from videozoo.data.moving_digits_files import write_digit_videos
from videozoo.data.transforms import normalise
from videozoo.errors import SettingError
from videozoo.visualization.attention import attention_blocks, chosen_block, look
from videozoo.visualization.grad_cam import grad_cam
from videozoo.visualization.heat import RAMP, colours, labelled_strips, mark, paint, stretch, to_pixels


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    (file,) = write_digit_videos(tmp_path_factory.mktemp("videos"), 1, 3, part="test")
    return str(file)


# ---- drawing


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("value_range", [1, 255])
def test_pixels_survive_what_the_network_is_fed(order, value_range):
    spec = ClipSpec(8, 8, 8, channel_order=order, value_range=value_range, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
    pixels = torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8)
    assert torch.equal(to_pixels(normalise(pixels, spec), spec), pixels)


def test_flow_is_no_picture():
    with pytest.raises(SettingError, match="10 channels of flow"):
        to_pixels(torch.zeros(2, 10, 8, 8), ClipSpec(8, 8, 8, modality="flow"))


def test_stretch_spans_0_to_1_and_bears_a_flat_map():
    heat = stretch(torch.rand(4, 5, 6) * 1e-5 + 3)
    assert heat.min() == 0
    assert heat.max() == 1
    assert stretch(torch.full((4, 5, 6), 0.3)).abs().max() == 0


def test_ramp_begins_and_ends_with_its_colours():
    ends = colours(torch.tensor([0.0, 1.0]).view(2, 1, 1, 1))
    assert ends[:, :, 0, 0].round().int().tolist() == [list(RAMP[0]), list(RAMP[-1])]


def test_heat_is_where_it_was_put():
    frames = torch.full((4, 3, 32, 32), 100, dtype=torch.uint8)
    heat = torch.zeros(4, 8, 8)
    heat[2, 1, 6] = 1
    painted = paint(frames, heat)
    assert painted.shape == frames.shape
    assert painted.dtype == torch.uint8
    brightness = painted.float().sum(dim=1)
    assert (brightness[2].argmax() // 32 // 4, brightness[2].argmax() % 32 // 4) == (1, 6)
    assert brightness[[0, 1, 3]].max() < brightness[2].max()


def test_a_mark_rings_one_pixel_of_one_frame():
    frames = torch.zeros(3, 3, 64, 64, dtype=torch.uint8)
    marked = mark(frames, (1, 20, 40))
    assert torch.equal(marked[[0, 2]], frames[[0, 2]])
    rows, columns = (marked[1, 0] > 0).nonzero(as_tuple=True)
    assert (rows.float().mean() - 20).abs() < 1
    assert (columns.float().mean() - 40).abs() < 1
    assert marked[1, 0, 20, 40] == 0
    assert frames.sum() == 0


def test_strips_are_as_wide_as_the_longest_row():
    sheet = labelled_strips(
        [("a", torch.zeros(2, 3, 10, 20, dtype=torch.uint8)), ("b", torch.zeros(5, 3, 10, 10, dtype=torch.uint8))]
    )
    assert sheet.width == max(2 * (224 + 3), 5 * (112 + 3))


# ---- what is drawn


@pytest.mark.parametrize("arch", ["rnl_tsm_resnet10_tiny", "nl_x3d_tiny", "cpa_tsm_resnet10_tiny"])
def test_looking_is_a_row_of_the_blocks_weights(arch):
    model = create_model(arch, 3).eval()
    clip = torch.randn(1, 8, 3, 64, 64)
    assert list(attention_blocks(model)) == (["1.0", "1.1", "2.0", "2.1", "2.3"] if "x3d" in arch else ["1.0", "2.0"])
    _, block = chosen_block(model, "2.0")
    weights = look(model, clip, (5, 63, 9), block)
    assert weights.shape == (8, 8, 8)
    torch.testing.assert_close(weights.sum(), torch.tensor(1.0))

    seen = []
    block.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model(clip)
    if arch.startswith("cpa"):
        expected = block.attention(seen[0])[0]
    else:
        query, key = block.compared(seen[0])[:2]
        expected = affinity_weights(query, key, "softmax")[0, (5 * 8 + 7) * 8 + 1].view(8, 8, 8)
    torch.testing.assert_close(weights, expected)


def test_what_cannot_look_says_so():
    model = create_model("rnl_tsm_resnet10_tiny", 3)
    with pytest.raises(SettingError, match=r"block '3.0': allowed are 1.0, 2.0"):
        chosen_block(model, "3.0")
    with pytest.raises(SettingError, match="no attention between positions"):
        chosen_block(create_model("se_tsm_resnet10_tiny", 3), None)
    with pytest.raises(SettingError, match=r"position 8,0,0: allowed are t 0..7 y 0..63 x 0..63"):
        look(model, torch.zeros(1, 8, 3, 64, 64), (8, 0, 0), chosen_block(model, None)[1])


def test_grad_cam_of_a_linear_head_is_the_classes_own_map():
    model = create_model("tsm_resnet10_tiny", 3).eval()
    model.requires_grad_(False)
    clip = torch.randn(1, 8, 3, 64, 64)
    heat, scores = grad_cam(model, clip, 2)
    body = model.network.backbone
    features = body.forward_features(clip)
    _, frames, channels, height, width = features.shape
    weight = body.classifier.weight[2].view(1, 1, channels, 1, 1) / (frames * height * width)
    torch.testing.assert_close(heat, (weight * features).sum(dim=2)[0].relu(), rtol=1e-4, atol=1e-9)
    torch.testing.assert_close(scores, model(clip)[0])
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("arch", ["x3d_tiny", "rnl_tsm_resnet10_tiny", "bqn_tsm_resnet10_tiny"])
def test_grad_cam_of_other_networks(arch):
    model = create_model(arch, 3).eval()
    heat, scores = grad_cam(model, torch.randn(1, 24 if arch.startswith("bqn") else 8, 3, 80, 80))
    assert heat.dim() == 3
    assert heat.shape[0] == 8
    assert heat.min() >= 0
    assert scores.shape == (3,)
    with pytest.raises(SettingError, match=r"class 3: allowed are 0..2"):
        grad_cam(model, torch.randn(1, 24, 3, 80, 80), 3)


# ---- command line


def test_show_attention_of_two_networks(video, tmp_path, capsys):
    out = tmp_path / "looks.png"
    models = ("--model", "rnl_tsm_resnet10_tiny", "--model", "nl_tsm_resnet10_tiny")
    assert (
        main(["show", "attention", video, str(out), "--at", "3,30,20", *models, "--block", "1.0", "--block", "2.0"])
        == 0
    )
    assert str(out) in capsys.readouterr().out
    assert Image.open(out).height == 5 * (112 + 18 + 3)


def test_show_gradcam(video, tmp_path):
    out = tmp_path / "heat.png"
    assert main(["show", "gradcam", video, str(out), "--model", "x3d_tiny", "--class", "2"]) == 0
    assert Image.open(out).height == 2 * (112 + 18 + 3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["attention", "--at", "3,4"], "--at '3,4': must be frame,row,column"),
        (["attention", "--at", "99,0,0", "--model", "rnl_tsm_resnet10_tiny"], "position 99,0,0: allowed are t 0..7"),
        (["attention", "--at", "0,0,0", "--model", "tsm_resnet10_tiny"], "no attention between positions"),
        (["gradcam", "--model", "tsm_resnet10_tiny", "--class", "400"], "class 400: allowed are 0..399"),
    ],
)
def test_wrong_input_is_one_line(words, message, video, tmp_path, capsys):
    verb, *options = words
    assert main(["show", verb, video, str(tmp_path / "x.png"), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("name", ["x.txt", "missing/x.png"])
def test_a_picture_that_cannot_be_written_is_one_line(name, video, tmp_path, capsys):
    assert main(["show", "gradcam", video, str(tmp_path / name), "--model", "x3d_tiny"]) == 2
    assert str(tmp_path / name) in capsys.readouterr().err
