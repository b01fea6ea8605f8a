"""Flow in colours: the wheel's convention, the shared scale, and the command line."""

import pytest
import torch
from conftest import moving_square, write_video
from PIL import Image
from torchvision.utils import flow_to_image

from videozoo.cli import main
from videozoo.data.flow_files import write_flo
from videozoo.visualization.flow import colour_wheel, flow_pictures, full_motion


def test_hues_of_the_middlebury_wheel():
    """To the right is red, down is yellow, to the left is cyan, up is violet; still is white, unknown black."""
    flow = torch.tensor([[5.0, 0], [0, 5.0], [-5.0, 0], [0, -5.0], [0, 0], [2e9, 2e9]]).T.view(1, 2, 1, 6)
    right, down, left, up, still, unknown = flow_pictures(flow, full=5.0)[0, :, 0].T.tolist()
    assert right[0] > 250
    assert max(right[1:]) < 60
    assert min(down[:2]) > 200
    assert down[2] < 60
    assert left[0] < 60
    assert min(left[1:]) > 180
    assert up[0] > 60 > up[1]
    assert up[2] > 200
    assert still == [255, 255, 255]
    assert unknown == [0, 0, 0]


def test_pictures_equal_torchvisions_at_its_own_scale():
    flow = torch.randn(3, 2, 8, 9)
    longest = flow.square().sum(dim=1).sqrt().max().item()
    difference = flow_pictures(flow, longest).int() - flow_to_image(flow).int()
    assert difference.abs().max() <= 1  # the scale differs by a rounding


def test_scale_leaves_single_vectors_and_unknown_pixels_out():
    flow = torch.zeros(1, 2, 40, 50)
    flow[:, 0] = 3.0
    flow[0, 0, 0, :2] = torch.tensor([500.0, 1.6e9])
    assert full_motion(flow) == 3.0
    assert full_motion(torch.zeros(1, 2, 4, 4)) > 0
    shared = flow_pictures(torch.cat([flow, flow / 2]), full=3.0)
    assert not torch.equal(shared[0], shared[1])
    assert torch.equal(shared[0, :, 0, 0], shared[0, :, 5, 5])  # longer ones are cut to the full colour


def test_wheel():
    wheel = colour_wheel(65)
    assert wheel.shape == (3, 65, 65)
    assert wheel[:, 32, 32].tolist() == [255, 255, 255]
    assert wheel[:, 0, 0].tolist() == [255, 255, 255]
    assert wheel[0, 32, 60] > 250  # right: red
    assert wheel[1, 32, 60] < 80
    assert wheel[0, 32, 4] < 80  # left: cyan


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("show") / "square.mp4", moving_square(6, 48, 64))


def shown(path):
    with Image.open(path) as picture:
        return picture.size


def test_flow_of_a_video(video, tmp_path, capsys):
    out = tmp_path / "flow.png"
    assert main(["show", "flow", str(video), str(out), "--solver", "tvnet", "--pairs", "2"]) == 0
    assert str(out) in capsys.readouterr().out
    width, height = shown(out)
    assert width == 2 * (213 + 3)  # two pairs side by side
    assert height == 3 * (160 + 18 + 3)  # frames, flow, wheel


def test_flow_of_a_model(video, tmp_path):
    out = tmp_path / "flow.png"
    command = ["show", "flow", str(video), str(out), "--pairs", "1", "--solver", "tvnet"]
    assert main([*command, "--model", "tvnet_tsm_resnet10_tiny"]) == 0
    assert shown(out)[1] == 5 * (160 + 18 + 3)  # frames, TV-L1, before, of the model, wheel


def test_stored_flow(video, tmp_path):
    write_flo(tmp_path / "a.flo", torch.randn(2, 20, 30))
    assert main(["show", "flow", str(tmp_path / "a.flo"), str(tmp_path / "a.png")]) == 0
    assert shown(tmp_path / "a.png")[1] == 2 * (160 + 18 + 3)
    stored = tmp_path / "stored"
    assert main(["flow", "extract", str(video.parent), str(stored), "--solver", "tvnet", "--short-side", "24"]) == 0
    assert main(["show", "flow", str(stored / "square"), str(tmp_path / "b.png"), "--pairs", "9"]) == 0
    assert shown(tmp_path / "b.png")[0] == 5 * (213 + 3)  # six frames have five flows


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--pairs", "0"], "--pairs 0: must be at least 1"),
        (["--model", "tsm_resnet10_tiny"], "has no flow layers"),
        (["--solver", "tvnet", "--short-side", "4"], "--short-side 4: must be at least 16"),
    ],
)
def test_wrong_settings(video, tmp_path, capsys, more, message):
    assert main(["show", "flow", str(video), str(tmp_path / "a.png"), *more]) == 2
    assert message in capsys.readouterr().err


def test_wrong_files(video, tmp_path, capsys):
    assert main(["show", "flow", str(video), str(tmp_path / "a.gif"), "--pairs", "1", "--solver", "tvnet"]) == 2
    assert "must end in .png" in capsys.readouterr().err
    single = write_video(tmp_path / "single.mp4", moving_square(1, 48, 64))
    assert main(["show", "flow", str(single), str(tmp_path / "a.png")]) == 2
    assert "flow needs two" in capsys.readouterr().err
