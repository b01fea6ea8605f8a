"""Windows of time: how they are cut, and that each is answered as a file of just its frames would be."""

import argparse
import csv
import io
import json
import math
import subprocess
import sys
from itertools import groupby, islice, pairwise
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch
from conftest import moving_square
from hypothesis import given
from hypothesis import strategies as st
from made_videos import encode
from PIL import Image

from videozoo import create_model
from videozoo.cli import main
from videozoo.cli.durations import duration
from videozoo.cli.window_rows import SrtRows
from videozoo.data.decoding import VideoReader
from videozoo.data.held_pictures import HeldPictures
from videozoo.data.time_windows import Window, cut_windows, steady_times
from videozoo.errors import SettingError, VideoError
from videozoo.inference.windows import WindowPrediction, predict_windows
from videozoo.visualization.answer_plot import Answers, answer_plot
from videozoo.visualization.timeline import GAP, PALETTE, TEXT


@pytest.fixture(scope="module", params=["tsm_resnet10_tiny", "x3d_tiny"])
def model(request):
    torch.manual_seed(3)
    return create_model(request.param, num_classes=4).eval()


def lossless(path, frames, fps, rotation=0):
    return encode(path, "ffv1", {}, frames=frames, fps=fps, pix_fmt="bgr0", rotation=rotation)


@pytest.mark.parametrize(("fps", "rotation"), [(25, 0), (30, 90), (10, 0)])
def test_a_window_is_answered_as_a_file_cut_to_it(model, tmp_path, fps, rotation):
    frames = moving_square(4 * fps, 70, 96)
    long = lossless(tmp_path / "long.mkv", frames, fps, rotation)
    answers = list(predict_windows(model, long, window=2, stride=0.5, batch_size=2))
    assert [(answer.start, answer.end) for answer in answers] == [(s / 2, s / 2 + 2) for s in range(5)]
    for answer in answers[::2] + answers[1:2]:
        first = math.ceil(answer.start * fps)
        cut = lossless(tmp_path / "cut.mkv", frames[first : first + 2 * fps], fps, rotation)
        alone = model.predict(cut)
        assert torch.allclose(answer.scores, alone.scores, atol=1e-5)
        assert answer.top[0][0] == alone.label
    assert not torch.allclose(answers[0].scores, answers[-1].scores, atol=1e-4)


def test_a_video_shorter_than_a_window_is_one_window(model, videos):
    (answer,) = predict_windows(model, videos[1], window=60, stride=1, topk=2)
    assert (answer.start, answer.end) == pytest.approx((0, 17 / 25))
    assert torch.allclose(answer.scores, model.predict(videos[1]).scores, atol=1e-5)
    assert len(answer.top) == 2


def at(*times):
    return [(time, number) for number, time in enumerate(times)]


def test_windows_hold_the_frames_that_begin_in_them():
    windows = list(cut_windows(at(*[i / 10 for i in range(30)]), 1, 0.7))
    assert [(round(w.start, 6), round(w.end, 6)) for w in windows] == [(0, 1), (0.7, 1.7), (1.4, 2.4), (2.1, 3)]
    assert [w.frames for w in windows[:3]] == [tuple(range(10)), tuple(range(7, 17)), tuple(range(14, 24))]


def test_a_window_comes_with_the_frame_after_it():
    seen = []

    def frames():
        for time, number in at(*[i / 4 for i in range(20)]):
            seen.append(number)
            yield time, number

    windows = cut_windows(frames(), 1, 1)
    for count in (1, 2, 3):
        assert next(windows).frames == tuple(range(4 * count - 4, 4 * count))
        assert len(seen) == 4 * count + 1


@pytest.mark.parametrize(
    ("last", "expected"),
    [(9.4, [(0, 4), (4, 8)]), (9.9, [(0, 4), (4, 8), (8, 10)]), (11.9, [(0, 4), (4, 8), (8, 12)])],
)
def test_what_is_left_is_answered_from_half_a_window_on(last, expected):
    frames = at(*[i / 10 for i in range(round(last * 10) + 1)])
    windows = list(cut_windows(frames, 4, 4))
    assert [(w.start, round(w.end, 6)) for w in windows] == expected


def test_uneven_frames_gaps_and_clocks_set_back():
    windows = list(cut_windows(at(0, 0.1, 0.9, 1.0, 1.95, 50.0, 50.5, 51.2), 1, 1))
    assert [(w.start, w.frames) for w in windows] == [(0, (0, 1, 2)), (1, (3, 4)), (50, (5, 6))]
    assert Window(0, 1, (0.0, 0.033, 0.067, 0.1), (0, 1, 2, 3)).rate(30.0) == 30.0
    assert Window(0, 1, (0.0, 0.2, 0.4), (0, 1, 2)).rate(30.0) == pytest.approx(5.0)
    times = [time for time, _ in steady_times([(t, None) for t in (7.0, 7.1, 7.2, 0.0, 0.1, None, 0.3)], 10.0)]
    assert times == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6])


@given(
    steps=st.lists(st.floats(0.001, 3), min_size=0, max_size=60),
    window=st.floats(0.05, 5),
    stride=st.floats(0.05, 5),
)
def test_every_window_holds_exactly_its_frames(steps, window, stride):
    times = np.cumsum([0.0, *steps]).round(4).tolist()
    windows = list(cut_windows(at(*times), window, stride))
    assert windows or stride > window
    starts = [w.start for w in windows]
    assert starts == sorted(set(starts))
    for w in windows:
        assert w.start / stride == pytest.approx(round(w.start / stride), abs=1e-6)
        assert 0 < w.end - w.start < window + 1e-6
        inside = [n for n, time in enumerate(times) if w.start - 1e-6 <= time < w.end - 1e-6]
        assert list(w.frames) == inside != []
        assert w.times == tuple(times[n] for n in inside)
    complete = {k for k in range(int(times[-1] / stride) + 1) if k * stride + window <= times[-1]}
    filled = {k for k in complete if any(k * stride <= t < k * stride + window - 1e-5 for t in times)}
    assert filled <= {round(start / stride) for start in starts}


def test_bad_input(model, videos, tmp_path):
    for window, stride in ((0, 1), (1, 0), (-2, 1)):
        with pytest.raises(SettingError, match="must be positive"):
            list(predict_windows(model, tmp_path / "absent.mp4", window=window, stride=stride))
    with pytest.raises(SettingError, match="more than half of the"):
        list(predict_windows(model, videos[0], window=1e9, stride=1))
    with pytest.raises(SettingError, match="reads stored flow"):
        list(predict_windows(SimpleNamespace(clip_spec=model.clip_spec.of_flow()), videos[0], window=1, stride=1))
    with pytest.raises(VideoError, match=r"absent\.mp4: no such file"):
        list(predict_windows(model, tmp_path / "absent.mp4", window=1, stride=1))


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Two seconds that go right, then two that go left, at 16 frames a second; the directions that are named."""
    folder = tmp_path_factory.mktemp("digits")
    frames = np.zeros((64, 64, 64, 3), np.uint8)
    for i in range(64):
        x = 4 + (i if i < 32 else 63 - i)
        frames[i, 24:40, x : x + 16] = 255
    return encode(folder / "there_and_back.mp4", frames=frames, fps=16)


def predict_rows(digits, capsys, *arguments):
    assert main(["predict", str(digits), "--window", "1s", "--stride", "500ms", *arguments]) == 0
    printed = capsys.readouterr()
    assert "7 windows, 4.0 s of video in" in printed.err
    assert "times real time" in printed.err
    return printed.out


def test_rows_of_every_format_say_the_same(digits, tmp_path, capsys):
    table = list(csv.DictReader(io.StringIO(predict_rows(digits, capsys, "--format", "csv", "--topk", "2"))))
    assert [row["rank"] for row in table] == ["1", "2"] * 7
    best = [(float(row["start"]), float(row["end"]), row["label"]) for row in table[::2]]
    assert [(start, end) for start, end, _ in best] == [(i / 2, i / 2 + 1) for i in range(7)]
    assert len({label for _, _, label in best}) > 1

    lines = [json.loads(line) for line in predict_rows(digits, capsys, "--format", "json").splitlines()]
    assert [(row["start"], row["end"], row["top"][0]["label"]) for row in lines] == best
    text = predict_rows(digits, capsys).splitlines()
    assert [line.split()[3] for line in text] == [label for _, _, label in best]
    assert text[1].startswith("00:00:00.500 - 00:00:01.500  ")

    subtitles = tmp_path / "rows.srt"
    plot = tmp_path / "plot.png"
    assert predict_rows(digits, capsys, "--format", "srt", "--output", str(subtitles), "--plot", str(plot)) == ""
    blocks = [block.splitlines() for block in subtitles.read_text().strip().split("\n\n")]
    runs = [key for key, _ in groupby(label for _, _, label in best)]
    assert [block[0] for block in blocks] == [str(number + 1) for number in range(len(blocks))]
    assert [block[2].rsplit(" ", 1)[0] for block in blocks] == runs
    times = [block[1].split(" --> ") for block in blocks]
    assert times[0][0] == "00:00:00,000"
    assert times[-1][1] == "00:00:04,000"
    assert all(before[1] == after[0] for before, after in pairwise(times))
    with av.open(str(subtitles)) as file:  # FFmpeg's own reader
        assert sum(packet.size > 0 for packet in file.demux(subtitles=0)) == len(blocks)
    assert Image.open(plot).size[0] == 1500


def test_subtitles_end_where_no_window_is():
    stream = io.StringIO()
    rows = SrtRows(stream)
    for start, label in ((0, "a\n\nb"), (1, "a\n\nb"), (3605.5, "a\n\nb")):
        rows.write(WindowPrediction(start, start + 1, ((label, 0.5),), torch.zeros(1)))
    rows.finish()
    assert stream.getvalue() == (
        "1\n00:00:00,000 --> 00:00:02,000\na b 0.50\n\n2\n01:00:05,500 --> 01:00:06,500\na b 0.50\n\n"
    )


def test_ctrl_c_keeps_what_is_there(digits, tmp_path, capsys, monkeypatch):
    def interrupted(*arguments, **options):
        yield from islice(predict_windows(*arguments, **options), 3)
        raise KeyboardInterrupt

    monkeypatch.setattr("videozoo.inference.windows.predict_windows", interrupted)
    subtitles, plot = tmp_path / "rows.srt", tmp_path / "plot.png"
    command = ["predict", str(digits), "--window", "1s", "--format", "srt", "--output", str(subtitles)]
    assert main([*command, "--plot", str(plot)]) == 130
    assert subtitles.read_text().endswith("\n\n")
    assert "--> 00:00:03,000" in subtitles.read_text()
    assert plot.exists()
    assert "3 windows, 3.0 s of video" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stride", "1s"], "--stride needs --window"),
        (["--input-option", "a=b"], "--input-option needs --window"),
        (["--format", "srt"], "--format srt needs --window"),
        (["another.mp4", "--window", "1s"], "one file, address or device"),
        (["--window", "1s", "--views", "10x3"], "--views and --scores do not go with it"),
        (["--window", "1s", "--scores", "scores.csv"], "--views and --scores do not go with it"),
        (["--window", "1s", "--reconnect", "-1"], "--reconnect -1: must be at least 0"),
        (["--window", "1s", "--input-option", "a"], "--input-option a: must be NAME=VALUE"),
        (["--window", "1s", "--plot", "plot.gif"], "--plot plot.gif: must end in .png or .jpg"),
        (["--window", "1s", "--output", "no_such_folder/rows.csv"], "must be a file in a folder that exists"),
        (["--window", "1s", "--input-format", "nope"], "input format 'nope': FFmpeg knows none of that name"),
    ],
)
def test_command_line_refuses(digits, capsys, arguments, message):
    assert main(["predict", str(digits), *arguments]) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert len(printed.err.splitlines()) == 1
    assert printed.out == ""


def test_durations():
    texts = ("2s", "500ms", "1.5", "1m", "0.5 h", ".25s")
    assert [duration(text) for text in texts] == pytest.approx([2, 0.5, 1.5, 60, 1800, 0.25])
    for text in ("", "0", "0s", "-1", "1d", "s", "1e3", "nan"):
        with pytest.raises(argparse.ArgumentTypeError, match="must be a positive duration"):
            duration(text)


def test_plot_shows_the_best_label_at_its_time():
    labels = [f"class {k}" for k in range(12)]
    probability = torch.full((4, 12), 0.01)
    probability[:2, 3] = probability[2:, 7] = 0.89
    windows = [(float(i), i + 1.0, probability[i]) for i in range(4)]
    picture = np.asarray(answer_plot("title", Answers.of(labels, windows)))
    strip = picture[TEXT + GAP + 2]
    assert tuple(strip[200]) == tuple(strip[700]) != tuple(strip[800]) == tuple(strip[1400])
    assert {tuple(strip[200]), tuple(strip[1400])} == set(PALETTE[:2])
    many = Answers.of(labels, windows * 1000)
    assert len(many.start) == 500
    assert many.probability.sum(1).mean() == pytest.approx(float(probability.sum(1).mean()), rel=1e-5)


def test_pictures_are_converted_when_asked_for_or_when_too_many_wait(monkeypatch, videos):
    monkeypatch.setattr("videozoo.data.held_pictures.DECODED_BYTES", 5 * 96 * 128 * 3 // 2 + 10)
    converted = []
    pictures = HeldPictures(lambda frame: converted.append(1) or frame)
    with av.open(str(videos[0])) as file:
        held = [pictures.add(frame) for frame in islice(file.decode(video=0), 12)]
        assert len(converted) == 12 - 5
        reader = VideoReader(videos[0])
        assert torch.equal(torch.stack([picture.tensor() for picture in held]), reader.frames(range(12)))
        assert len(converted) == 12
        assert held[0].tensor() is held[0].tensor()


MEASURE = """
import sys
from videozoo import create_model
from videozoo.inference.windows import WindowPrediction, predict_windows
from videozoo.visualization.answer_plot import Answers, answer_plot
from videozoo.visualization.timeline import GAP, PALETTE, TEXT
model = create_model("tsm_resnet10_tiny", num_classes=4).eval()
print(sum(1 for _ in predict_windows(model, sys.argv[1], window=2, stride=2)))
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) // 1024)
"""


@pytest.mark.slow
def test_memory_is_flat_in_the_length_of_a_video(tmp_path):
    if not Path("/proc/self/status").exists():
        pytest.skip("peak memory is read from /proc")
    frames = moving_square(100, 48, 64)
    measured = []
    for minutes in (2, 20):
        path = tmp_path / f"{minutes}.mp4"
        encode(path, options={"preset": "ultrafast", "g": "50"}, frames=frames, fps=10, repeats=6 * minutes)
        command = [sys.executable, "-c", MEASURE, str(path)]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        windows, megabytes = map(int, output.split())
        assert windows == 30 * minutes
        measured.append(megabytes)
    assert measured[1] - measured[0] < 50
