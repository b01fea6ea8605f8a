"""What the arithmetic of frame sampling and the order of videos promise, for any sizes."""

from itertools import pairwise

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from videozoo.clip_spec import ClipSpec
from videozoo.data.sampler import NOTHING, EpochSampler, balancing_weights
from videozoo.data.sampling import DENSE_WINDOW, random_starts, sample_indices, uniform_starts

COUNTS, SEGMENTS, LENGTHS, SEEDS = st.integers(1, 3000), st.integers(1, 64), st.integers(1, 8), st.integers(0, 2**31)


def spec_of(segments, length=1, **settings):
    return ClipSpec(frames=segments * length, frames_per_segment=length, size=1, resize=1, **settings)


def gaps(places):
    return [later - earlier for earlier, later in pairwise(places)]


@given(count=COUNTS, segments=SEGMENTS, length=LENGTHS, phase=st.floats(0, 0.99))
def test_segments_are_equal(count, segments, length, phase):
    """Starts of an arithmetic progression rounded down: neighbours differ by at most one frame."""
    assume(count >= length)
    steps = gaps(uniform_starts(count, segments, length, phase))
    assert max(steps, default=0) - min(steps, default=0) <= 1


@given(count=COUNTS, segments=SEGMENTS)
def test_a_clip_is_centred_in_its_video(count, segments):
    """Played backwards, a video gives the same clip within a frame."""
    (clip,) = sample_indices(spec_of(segments), count, 25)
    backwards = [count - 1 - index for index in reversed(clip)]
    assert all(abs(there - back) <= 1 for there, back in zip(clip, backwards, strict=True))


@given(segments=SEGMENTS, length=LENGTHS, data=st.data())
def test_no_frame_of_a_short_video_is_left_out(segments, length, data):
    count = data.draw(st.integers(1, segments + length - 1))
    (clip,) = sample_indices(spec_of(segments, length), count, 25)
    assert set(clip) == set(range(count))
    every = spec_of(segments * length, sampling="all")
    (clip,) = sample_indices(every, count, 25)
    assert set(clip) == set(range(count))


@given(count=st.integers(1, 400), repeats=st.integers(2, 8), segments=st.sampled_from([1, 2, 4, 8, 16, 32]))
def test_frames_shown_several_times_change_no_picture(count, repeats, segments):
    """A slowed-down copy of a video gives the same pictures (powers of two: no rounding of floats comes in)."""
    (plain,) = sample_indices(spec_of(segments), count, 25)
    (slowed,) = sample_indices(spec_of(segments), count * repeats, 25)
    assert [index // repeats for index in slowed] == plain


@given(count=COUNTS, segments=SEGMENTS, length=LENGTHS, seed=SEEDS)
def test_random_snippets_stay_in_their_segments(count, segments, length, seed):
    starts = random_starts(count, segments, length, torch.Generator().manual_seed(seed))
    assert len(starts) == segments
    assert starts == sorted(starts)
    span = (count - length + 1) // segments
    if span > 0:
        assert [start // span for start in starts] == list(range(segments))
        assert starts[-1] + length <= count
    assert 0 <= starts[0] <= starts[-1] <= max(0, count - length)


@given(span=st.integers(1, 4), segments=st.integers(1, 4), length=st.integers(1, 3))
def test_random_snippets_reach_every_frame_of_equal_segments(span, segments, length):
    generator = torch.Generator().manual_seed(0)
    draws = [random_starts(span * segments + length - 1, segments, length, generator) for _ in range(120)]
    assert {start for starts in draws for start in starts} == set(range(span * segments))


@given(count=st.integers(DENSE_WINDOW, 3000), segments=st.integers(1, 64), clips=st.integers(2, 12))
def test_dense_clips_span_the_video(count, segments, clips):
    """Where the window fits nothing wraps around: steps are equal, from the first frame to the last window."""
    lists = sample_indices(spec_of(segments, sampling="dense"), count, 25, clips=clips)
    stride = max(1, DENSE_WINDOW // segments)
    assert all(step == stride for clip in lists for step in gaps(clip))
    assert lists[0][0] == 0
    assert lists[-1][0] == count - DENSE_WINDOW
    assert all(clip[-1] - clip[0] < DENSE_WINDOW for clip in lists)


@given(
    count=st.integers(1, 2000), frames=st.integers(1, 32), stride=st.integers(1, 12), fps=st.floats(1, 120), seed=SEEDS
)
def test_timed_steps_are_equal(count, frames, stride, fps, seed):
    spec = spec_of(frames, sampling="timed", stride=stride)
    for generator in (None, torch.Generator().manual_seed(seed)):
        for clip in sample_indices(spec, count, fps, generator=generator):
            inside = gaps([index for index in clip if index < clip[-1]])  # the end may be held
            assert max(inside, default=0) - min(inside, default=0) <= 1


@given(count=st.integers(1, 60), ranks=st.integers(1, 8), epoch=st.integers(0, 50), seed=st.integers(0, 1000))
def test_ranks_share_one_order(count, ranks, epoch, seed):
    """In training: what the ranks get in turn is the order of a single one, repeated from its start at the end."""

    def order(rank, ranks):
        sampler = EpochSampler(range(count), shuffle=True, seed=seed, num_replicas=ranks, rank=rank)
        sampler.set_epoch(epoch)
        assert list(sampler) == [(epoch, index) for index in sampler.order()]  # drawing it changes nothing
        return sampler.order()

    alone, shares = order(0, 1), [order(rank, ranks) for rank in range(ranks)]
    assert sorted(alone) == list(range(count))
    assert len({len(share) for share in shares}) == 1
    together = [index for turn in zip(*shares, strict=True) for index in turn]
    assert 0 <= len(together) - count < ranks
    assert together == [alone[place % count] for place in range(len(together))]


@given(count=st.integers(1, 60), ranks=st.integers(1, 8))
def test_every_video_is_evaluated_once(count, ranks):
    shares = [EpochSampler(range(count), shuffle=False, num_replicas=ranks, rank=rank).order() for rank in range(ranks)]
    assert len({len(share) for share in shares}) == 1
    assert sorted(index for share in shares for index in share if index != NOTHING) == list(range(count))


@given(count=st.integers(1, 40), start=st.integers(0, 50), epoch=st.integers(0, 5))
def test_a_resumed_epoch_is_the_rest_of_it(count, start, epoch):
    sampler = EpochSampler(range(count), shuffle=True, seed=3)
    sampler.set_epoch(epoch)
    whole = list(sampler)
    sampler.start = start
    assert list(sampler) == whole[start:]
    assert list(sampler) == whole  # the next one is whole again


@given(labels=st.lists(st.integers(0, 9), min_size=1, max_size=200))
def test_balanced_classes_are_equally_likely(labels):
    weights = balancing_weights(torch.tensor(labels), 10)
    sums = torch.zeros(10, dtype=torch.float64).index_add_(0, torch.tensor(labels), weights)
    assert sums[sorted(set(labels))].tolist() == pytest.approx([1.0] * len(set(labels)))
