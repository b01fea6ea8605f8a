"""Pictures and times of representations from the command line."""

import pytest
import torch
from PIL import Image

from videozoo.cli import main
from videozoo.visualization.representations import kernel_sheet, signed_pictures, stretched_pictures

TINY = ["--size", "32", "--segments", "2", "--fit", "2"]


@pytest.mark.parametrize("kind", ["squeeze", "dynamic", "busy"])
def test_frames_mean_and_representation_side_by_side(kind, videos, tmp_path):
    out = tmp_path / "seen.png"
    assert main(["show", kind, str(videos[0]), str(out), *TINY]) == 0
    with Image.open(out) as picture:
        assert picture.height > 2 * 112
        assert picture.width > 4 * 112
        assert len(picture.getcolors(maxcolors=2**24)) > 50


def test_kernels_of_a_trained_network_on_a_page(videos, tmp_path):
    out = tmp_path / "seen.html"
    assert main(["show", "busy", str(videos[1]), str(out), "--model", "mbpm_tsm_resnet10_tiny", *TINY]) == 0
    page = out.read_text()
    assert page.count('src="data:image/png;base64,') == 2
    assert videos[1].name in page
    assert str(videos[1].parent) not in page


def test_wrong_settings_are_one_line(videos, tmp_path, capsys):
    video = str(videos[0])
    for arguments, text in (
        (["show", "busy", video, str(tmp_path / "seen.gif")], ".png or .html"),
        (["show", "busy", video, str(tmp_path / "seen.png"), "--frames", "4"], "--frames 4"),
        (["show", "dynamic", video, str(tmp_path / "seen.png"), "--segments", "0"], "--segments 0"),
        (["show", "squeeze", video, str(tmp_path / "seen.png"), "--model", "mbpm_x3d_tiny"], "temporal_squeeze"),
    ):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert text in error
        assert error.count("\n") == 1


def test_zero_is_grey_and_ranges_are_used():
    frames = torch.randn(2, 3, 20, 20)
    frames[:, :, 0] = 0
    pictures = signed_pictures(frames)
    assert (pictures[:, :, 0] == 128).all()
    assert (signed_pictures(-frames).int() + pictures.int() - 255).abs().max() <= 1
    stretched = stretched_pictures(1000 + frames)
    assert stretched.amin() == 0
    assert stretched.amax() == 255


def test_kernel_sheet_shows_what_changed():
    before, time = torch.randn(5, 5), torch.randn(3, 3)
    same = kernel_sheet(before, before.expand(3, -1, -1), time, names=("red", "green", "blue"))
    other = kernel_sheet(before, before.expand(3, -1, -1) + torch.eye(5), time, names=("red", "green", "blue"))
    assert same.size == other.size
    assert same.tobytes() != other.tobytes()


def test_bench_representation_prints_every_representation(capsys):
    arguments = ["--backbone", "tsm_resnet10_tiny", "--pair", "tsm_resnet10_tiny", "--size", "24", "--rounds", "1"]
    assert main(["bench", "representation", *arguments]) == 0
    printed = capsys.readouterr().out
    for name in ("tsm_resnet10_tiny on 8 frames", "band_pass, 24 frames to 8", "bqn_tsm_resnet10_tiny on 24"):
        assert name in printed
