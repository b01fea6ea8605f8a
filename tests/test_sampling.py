"""Frame sampling against what the official codes were recorded to do, and what must always hold.

tests/data/sampling.json is a part of the recorded cases (TSM, BQN, PySlowFast run by their own code), the hard ones
among them; the rest lies in shared/reference/protocols.
"""

import json
from itertools import chain
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from videozoo.clip_spec import ClipSpec
from videozoo.data.sampling import random_starts, sample_indices, timed_indices, uniform_starts
from videozoo.errors import SettingError

RECORDED = json.loads((Path(__file__).parent / "data" / "sampling.json").read_text())


def segments_spec(segments, length=1, **settings):
    return ClipSpec(frames=segments * length, frames_per_segment=length, size=1, resize=1, **settings)


def random(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=["part", "all"])
def recorded(request, reference):
    """A loader of recorded cases: of those kept here, or of all that are beside the checkout."""
    return RECORDED.__getitem__ if request.param == "part" else lambda name: reference(f"protocols/{name}.json")


def test_known_values():
    assert sample_indices(segments_spec(8), 100, 25)[0] == [6, 18, 31, 43, 56, 68, 81, 93]
    assert sample_indices(segments_spec(8), 100, 25, clips=2)[1] == [0, 12, 25, 37, 50, 62, 75, 87]
    assert sample_indices(segments_spec(4), 2, 25)[0] == [0, 0, 1, 1]
    assert sample_indices(segments_spec(2, 3), 2, 25)[0] == [0, 1, 1, 0, 1, 1]  # shorter than a segment
    x3d = ClipSpec(frames=13, size=1, resize=1, sampling="timed", stride=6)
    assert sample_indices(x3d, 78, 30)[0] == [0, 6, 12, 19, 25, 32, 38, 44, 51, 57, 64, 70, 77]


def test_every_frame_once_or_the_last_again():
    spec = segments_spec(8, sampling="all")
    assert sample_indices(spec, 5, 25)[0] == [0, 1, 2, 3, 4, 4, 4, 4]
    assert sample_indices(spec, 8, 25)[0] == list(range(8))
    assert sample_indices(spec, 16, 25)[0] == list(range(1, 16, 2))  # a longer video is thinned out


def test_a_single_clip_lies_in_the_middle():
    x3d = ClipSpec(frames=4, size=1, resize=1, sampling="timed", stride=12)
    (clip,) = sample_indices(x3d, 300, 30)
    assert clip[0] == 126  # (300 - 48) / 2
    assert clip[-1] == 126 + 47
    (clip,) = sample_indices(segments_spec(8, sampling="dense"), 164, 30)
    assert clip == [50 + 8 * i for i in range(8)]


def test_timed_clips_last_as_long_at_any_frame_rate():
    spec = ClipSpec(frames=16, size=1, resize=1, sampling="timed", stride=5)
    for fps in (12, 25, 30, 60):
        (clip,) = sample_indices(spec, 1000, fps)
        assert (clip[-1] - clip[0]) / fps == pytest.approx(80 / 30, abs=2 / fps)


@pytest.mark.parametrize("name", ["sampling_tsm", "sampling_bqn"])
def test_segments(recorded, name):
    checked = 0
    for case in recorded(name)["uniform"]:
        count, segments, length = case["num_frames"], case["num_segments"], case["frames_per_segment"]
        if count < length:  # the official code asks for frames that no video has
            continue
        spec = segments_spec(segments, length)
        centre, start = sample_indices(spec, count, 25, clips=2)
        assert centre[::length] == case["test"]
        assert (centre + start)[::length] == case["test_twice"]
        if "test_frames" in case:
            assert centre == case["test_frames"]
        if case["train"]["rule"] in ("jitter", "sorted"):
            low, high = case["train"]["low"], case["train"]["high"]
            for seed in range(20):
                draw = random_starts(count, segments, length, random(seed))
                assert all(a <= b <= c for a, b, c in zip(low, draw, high, strict=True))
        checked += 1
    assert checked > 15


@pytest.mark.parametrize("name", ["sampling_tsm", "sampling_bqn"])
def test_dense(recorded, name):
    for case in recorded(name)["dense"]:
        spec = segments_spec(case["num_segments"], case["frames_per_segment"], sampling="dense")
        clips = sample_indices(spec, case["num_frames"], 25, clips=10)
        assert list(chain(*clips)) == case.get("test_10_clips_frames", case["test_10_clips"])
        low, high = case["train_start"]
        for seed in range(10):
            (clip,) = sample_indices(spec, case["num_frames"], 25, generator=random(seed))
            assert low <= clip[0] <= high


def test_timed(recorded):
    cases = recorded("sampling_pyslowfast")
    for case in cases["temporal_sampling"]:
        assert timed_indices(case["start"], case["end"], case["num_samples"], case["frames"]) == case["index"]
    wrong, checked = 0, 0
    for case in cases["decode_torchvision_backend"]:
        if case["use_offset"] and case["num_clips"] > 1:
            continue
        if case["num_clips"] == 1 and not case["use_offset"]:
            continue  # the first clip there, the centre one here
        spec = ClipSpec(case["frames_per_clip"], size=1, resize=1, sampling="timed", stride=case["sampling_rate"])
        ours = sample_indices(spec, case["num_frames"], case["fps"], clips=case["num_clips"])
        checked += len(ours)
        wrong += sum(a != b for a, b in zip(ours, case["index"], strict=True))
    assert checked >= 300
    assert wrong <= 1  # a time stamp is rounded there once


def test_mmaction2_single_frames_equal_tsm(reference):
    cases = reference("protocols/sampling_mmaction2_1x.json")
    same = [case for case in cases["sample_frames"] if case["clip_len"] == 1]
    assert len(same) > 100
    for case in same:
        assert uniform_starts(case["num_frames"], case["num_clips"], 1) == case["test"]
    for case in cases["dense_sample_frames"]:
        clips = case["num_sample_positions"]
        if case["clip_len"] == 1 and case["sample_range"] == 64 and clips == 10:
            ours = sample_indices(segments_spec(case["num_clips"], sampling="dense"), case["num_frames"], 25, clips=10)
            assert list(chain(*ours)) == case["test"]


@given(
    count=st.integers(1, 400),
    segments=st.integers(1, 32),
    length=st.integers(1, 6),
    stride=st.integers(1, 12),
    sampling=st.sampled_from(["uniform", "dense", "timed", "all"]),
    clips=st.integers(1, 12),
    fps=st.floats(0.1, 240),
    seed=st.none() | st.integers(0, 1000),
)
def test_always_inside_and_as_many_as_asked(count, segments, length, stride, sampling, clips, fps, seed):
    spec = segments_spec(segments, length, sampling=sampling, stride=stride)
    generator = None if seed is None else random(seed)
    lists = sample_indices(spec, count, fps, clips=clips, generator=generator)
    assert len(lists) == (1 if generator is not None and sampling != "all" else clips)
    for indices in lists:
        assert len(indices) == spec.frames
        assert all(0 <= index < count for index in indices)
        starts = indices[::length]
        if sampling != "dense":  # dense wraps around
            assert starts == sorted(starts)
    if generator is not None:
        assert lists == sample_indices(spec, count, fps, clips=clips, generator=random(seed))


@given(segments=st.integers(1, 16), length=st.integers(1, 5), clips=st.integers(1, 9), count=st.integers(200, 400))
def test_uniform_clips_enter_each_segment_at_their_own_place(segments, length, clips, count):
    lists = sample_indices(segments_spec(segments, length), count, 25, clips=clips)
    assert len({tuple(indices) for indices in lists}) == clips
    tick = (count - length + 1) / segments
    for indices in lists:
        assert all(tick * i - 1 < start < tick * (i + 1) for i, start in enumerate(indices[::length]))


def test_nothing_to_sample():
    for count, clips in ((0, 1), (10, 0)):
        with pytest.raises(SettingError, match="must be at least 1"):
            sample_indices(segments_spec(8), count, 25, clips=clips)
