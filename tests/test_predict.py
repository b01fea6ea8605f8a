"""From files to answers, in Python and on the command line."""

import csv
import io
import json

import pytest
import torch

from videozoo import create_model, predict
from videozoo.backbones import BACKBONES
from videozoo.cli import main
from videozoo.cli.videos import find_videos
from videozoo.clip_spec import ClipSpec, Views
from videozoo.errors import SettingError, VideozooError
from videozoo.inference.optimize import optimize_for_inference, to_channels_last
from videozoo.inference.predict import Failure, predict_many
from videozoo.inference.views import parse_views
from videozoo.training.recognizer import average_views

TINY = "tsm_resnet10_tiny"


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    return create_model(TINY, num_classes=4).eval()


def test_views_by_name():
    spec = ClipSpec(frames=8, size=224, resize=256, views=Views(10, 3, "probabilities", resize=256, size=256))
    assert parse_views("reported", spec) == spec.views
    assert parse_views("1x1", spec) == Views(1, 1, "probabilities")
    assert parse_views("2x10", spec) == Views(2, 10, "probabilities", resize=256, size=256)
    for text in ("0x1", "3x2", "many", "1x", "-1x3"):
        with pytest.raises(SettingError, match="allowed are 'reported'"):
            parse_views(text, spec)


def test_average_of_probabilities_can_differ_from_average_of_scores():
    scores = torch.tensor([[[9.0, 0.0, 8.0], [0.0, 1.0, 0.5]]])
    mean = average_views(scores, "probabilities").softmax(-1)
    assert torch.allclose(mean, scores.softmax(-1).mean(1), atol=1e-6)
    assert torch.allclose(average_views(scores, "scores"), scores.mean(1))


@pytest.mark.parametrize("views", ["1x1", "2x3", "1x10"])
def test_several_files_at_once_equal_one_by_one(model, videos, views):
    together = predict(model, videos, views=views, batch_size=5)
    for video, answer in zip(videos, together, strict=True):
        alone = model.predict(video, views=views)
        assert answer.file == alone.file == str(video)
        assert torch.allclose(answer.scores, alone.scores, atol=1e-5)
        assert [label for label, _ in answer.top] == [label for label, _ in alone.top]
        assert sum(p for _, p in answer.top) == pytest.approx(1, abs=1e-5)


def test_prediction_equals_the_plain_network(model, videos):
    from videozoo.data.reading import read_views

    clip = read_views(videos[0], model.clip_spec, Views())
    with torch.inference_mode():
        expected = model(clip)[0]
    assert torch.allclose(model.predict(videos[0]).scores, expected, atol=1e-4 * float(expected.abs().max()) + 1e-6)


def test_bad_files_fail_alone(model, videos, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all")
    answers = list(predict_many(model, [videos[0], broken, tmp_path / "absent.mp4", videos[1]]))
    assert [isinstance(answer, Failure) for answer in answers] == [False, True, True, False]
    assert "broken.mp4" in answers[1].error
    assert "absent.mp4" in answers[2].error
    with pytest.raises(VideozooError, match=r"broken\.mp4"):
        predict(model, broken)


@pytest.mark.parametrize("name", sorted(name for name in BACKBONES if "tiny" in name))
def test_optimized_networks_say_the_same(name):
    torch.manual_seed(1)
    network = create_model(name, num_classes=5).network.eval()
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.normal_(module.running_mean, std=0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
            torch.nn.init.normal_(module.weight, 1, 0.2)
    clip = torch.randn(2, 8, 3, 64, 64)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.inference_mode():
        expected = network(clip)
        answer = optimize_for_inference(network)(to_channels_last(clip))
    assert torch.allclose(answer, expected, atol=1e-4 * float(expected.abs().max()))
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_command_line_answers_and_reports(videos, tmp_path, capsys):
    broken = tmp_path / "broken.avi"
    broken.write_text("<html>not found</html>")
    scores = tmp_path / "scores.csv"
    command = ["predict", str(videos[0]), str(broken), str(videos[1]), "--topk", "2"]
    assert main([*command, "--format", "json", "--scores", str(scores)]) == 1
    printed = capsys.readouterr()
    rows = json.loads(printed.out)
    assert [row["file"] for row in rows] == [str(videos[0]), str(videos[1])]
    assert all(len(row["top"]) == 2 for row in rows)
    assert len([line for line in printed.err.splitlines() if "broken.avi" in line]) == 1
    assert len(list(csv.reader(scores.open()))) == 3

    assert main(["predict", str(videos[0].parent), "--format", "csv"]) == 0
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert {row["file"] for row in table} == {str(video) for video in videos}
    assert main(["predict", str(videos[0].parent / "*.mp4")]) == 0
    assert "clip2.mp4" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "tsm_resnet10_tini.moving_digits"], "did you mean tsm_resnet10_tiny.moving_digits"),
        (["--views", "7x7"], "allowed are"),
        (["--topk", "0"], "must be at least 1"),
    ],
)
def test_wrong_input_is_one_line(videos, capsys, arguments, message):
    assert main(["predict", str(videos[0]), *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


def test_lists_of_videos(videos, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{videos[0]}\n\n{videos[1]}\n"))
    assert find_videos(["-"]) == [str(videos[0]), str(videos[1])]
    with pytest.raises(SettingError, match="no videos in this folder"):
        find_videos([str(tmp_path)])
    with pytest.raises(SettingError, match="matches no file"):
        find_videos([str(tmp_path / "*.mp4")])
