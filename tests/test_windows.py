"""Windows of time: how they are cut, and that each is answered as a file of just its frames would be."""

import math

import numpy as np
import pytest
import torch
from conftest import moving_square
from hypothesis import given
from hypothesis import strategies as st
from made_videos import encode

from videozoo import create_model
from videozoo.data.time_windows import Window, cut_windows, steady_times
from videozoo.errors import SettingError, VideoError
from videozoo.inference.windows import predict_windows


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


def test_bad_input(model, tmp_path):
    for window, stride in ((0, 1), (1, 0), (-2, 1)):
        with pytest.raises(SettingError, match="must be positive"):
            list(predict_windows(model, tmp_path / "absent.mp4", window=window, stride=stride))
    with pytest.raises(VideoError, match=r"absent\.mp4: no such file"):
        list(predict_windows(model, tmp_path / "absent.mp4", window=1, stride=1))
