"""Which frames matter, on the command line: time lines of a video, and what the methods cost."""

import pytest
import torch
from PIL import Image

from videozoo import create_model
from videozoo.cli import main
from videozoo.visualization.frame_choice import cluster_rows, read_evenly, shown_frames, snippet_row, weight_row
from videozoo.visualization.timeline import BARS, FRAME, PALETTE, Clusters, Curves, Marks, timeline


def colours_of(picture):
    return {colour for _, colour in picture.getcolors(maxcolors=1_000_000)}


def test_rows_of_a_time_line_are_drawn():
    frames = torch.randint(255, (10, 3, 20, 30), dtype=torch.uint8)
    plain = timeline("video", frames, [])
    clusters = timeline("video", frames, [Clusters("groups", [0, 0, 0, 1, 1, 2, 2, 2, 2, 2])])
    assert set(PALETTE[:3]) <= colours_of(clusters)
    assert PALETTE[3] not in colours_of(clusters)
    curves = timeline("video", frames, [Curves("weights", [("a", [0.1] * 10)], list(range(10)))])
    assert BARS in colours_of(curves)
    assert BARS not in colours_of(clusters)
    marks = timeline("video", frames, [Marks("chosen", [0.5] * 10, [2, 7])])
    assert FRAME in colours_of(marks)
    assert plain.width == clusters.width == curves.width == marks.width
    assert plain.height < clusters.height < curves.height


def test_a_long_video_shows_only_some_frames():
    frames = torch.zeros(300, 3, 20, 20, dtype=torch.uint8)
    picture = timeline("video", frames, [Clusters("groups", [i // 100 for i in range(300)])])
    assert picture.width <= 1600
    assert picture.height < 200


def test_rows_say_what_the_network_does(videos):
    torch.manual_seed(0)
    model = create_model("fullvideo_tsm_resnet10_tiny", 4, clusters=4, padding="count")
    clip = read_evenly(str(videos[0]), model.clip_spec, 16)
    curve, strip = cluster_rows(model, clip, [], None, "name")
    assert torch.equal(torch.tensor([strip.ids]), model.assign(clip))
    assert len(curve.bars) == 16
    assert shown_frames(clip, model.clip_spec).shape == (16, 3, 64, 64)

    model = create_model("datp_tsm_resnet10_tiny", 4, grid=4)
    clip = read_evenly(str(videos[0]), model.clip_spec, 10)
    row = weight_row(model, clip, 2, "name")
    with torch.no_grad():
        assert row.bars == pytest.approx(model.network.weights(clip)[0].tolist())
    assert row.lines[0][0].startswith("class 2 ")

    model = create_model("pbnet_tsm_resnet10_tiny", 4, snippet_frames=3)
    clip = read_evenly(str(videos[0]), model.clip_spec, 8)
    row = snippet_row(model, clip, 3, "max", None, "name")
    assert len(row.numbers) == 8
    assert min(row.numbers) >= 0
    assert len(set(row.framed)) == 3
    assert shown_frames(clip, model.clip_spec).shape == (8, 3, 64, 64)


@pytest.mark.parametrize(("verb", "arch"), [
    ("clusters", "tsm_resnet10_tiny"), ("weights", "datp_tsm_resnet10_tiny"), ("snippets", "pbnet_tsm_resnet10_tiny"),
])  # fmt: skip
def test_show(verb, arch, videos, tmp_path, capsys):
    out = tmp_path / "picture.png"
    assert main(["show", verb, str(videos[0]), str(out), "--model", arch, "--model", arch]) == 0
    assert str(out) in capsys.readouterr().out
    assert Image.open(out).width > 1000


@pytest.mark.parametrize(("words", "message"), [
    (["weights", "--model", "tsm_resnet10_tiny"], "has no weights"),
    (["weights", "--model", "datp_tsm_resnet10_tiny", "--class", "400"], "class 400: datp_tsm_resnet10_tiny has"),
    (["snippets", "--model", "x3d_tiny"], "does not score every frame"),
    (["snippets", "--model", "tsm_resnet10_tiny", "--chosen", "13"], "at most the 12 snippets"),
    (["clusters", "--model", "tsm_resnet10_tiny", "--frames", "1"], "--frames 1"),
])  # fmt: skip
def test_show_says_what_is_wrong(words, message, videos, tmp_path, capsys):
    assert main(["show", words[0], str(videos[0]), str(tmp_path / "picture.png"), *words[1:]]) == 2
    captured = capsys.readouterr().err
    assert message in captured
    assert captured.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("method", ["pbnet", "datp", "fullvideo"])
def test_bench(method, capsys):
    words = ["--backbone", "tsm_resnet10_tiny", "--size", "32", "--rounds", "1"]
    assert main(["bench", "method", method, *words]) == 0
    printed = capsys.readouterr().out
    assert f"training step of {method}_tsm_resnet10_tiny" in printed
    assert "1.00" in printed


def test_gradients_of_clusters_and_frames(capsys):
    from videozoo.cli.bench_gradients import gradient_distances

    torch.manual_seed(0)
    model = create_model("tsn_resnet18", 4, dropout=0.0).eval()
    sample = {"clip": torch.randn(6, 3, 32, 32), "label": torch.tensor(1)}
    same = {**sample, "clip": sample["clip"][:1].expand(6, -1, -1, -1)}
    for grouping in ("slope", "uniform"):  # every frame a cluster
        assert gradient_distances(model, sample, 6, 3)[grouping] == pytest.approx((0, 0), abs=1e-4)
    for found in gradient_distances(model, same, 2, 3).values():
        assert found == pytest.approx((0, 0), abs=1e-4)
    for found in gradient_distances(model, sample, 2, 3).values():
        assert min(found) > 0.01
    assert main(["bench", "gradients", "--model", "tsm_resnet10_tiny", "--videos", "2"]) == 0
    assert "cumulative" in capsys.readouterr().out
    assert main(["bench", "gradients", "--videos", "1"]) == 2
    assert main(["bench", "gradients", "--videos", "2", "--stage", "5"]) == 2
