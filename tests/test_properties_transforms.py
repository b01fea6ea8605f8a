"""What scaling, crops, mirrors and normalisation promise, for pictures of any size."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videozoo.clip_spec import ClipSpec, Views
from videozoo.data.crops import centre_place, five_places, three_places
from videozoo.data.transforms import (
    TrainTransform,
    default_train_transform,
    mirror,
    normalise,
    resize,
    resize_short_side,
    views,
)

SIDES, SEEDS, ANTIALIAS = st.integers(1, 90), st.integers(0, 2**31), st.booleans()
PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "value_range": 255}  # leaves pixels as they are
SPECS = st.builds(
    ClipSpec,
    frames=st.just(2),
    size=st.integers(1, 24),
    resize=st.integers(24, 40),
    sampling=st.sampled_from(["uniform", "timed"]),
    value_range=st.sampled_from([1, 255]),
    channel_order=st.sampled_from(["rgb", "bgr"]),
    antialias=st.booleans(),
)
COLOURS = st.tuples(*[st.floats(-200, 200)] * 3)
SPREADS = st.tuples(*[st.floats(0.01, 300)] * 3)


def pixels(seed, *shape):
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def near(one, other, levels=1):
    return one.shape == other.shape and bool(((one.int() - other.int()).abs() <= levels).all())


@settings(max_examples=60)
@given(height=SIDES, width=SIDES, size=st.integers(1, 64), antialias=ANTIALIAS, seed=SEEDS)
def test_scaling_keeps_shape_range_and_every_frame(height, width, size, antialias, seed):
    frames = pixels(seed, 3, 3, height, width)
    scaled = resize_short_side(frames, size, antialias=antialias)
    short, long = min(height, width), max(height, width)
    assert scaled.dtype == torch.uint8
    assert min(scaled.shape[-2:]) == size
    assert max(scaled.shape[-2:]) == long * size // short
    assert scaled.shape[-1 if height > width else -2] == size
    assert frames.min() <= scaled.min()  # interpolation takes means: nothing over- or undershoots
    assert scaled.max() <= frames.max()
    assert torch.equal(scaled[1], resize_short_side(frames[1], size, antialias=antialias))


@given(height=SIDES, width=SIDES, size=st.integers(1, 64), antialias=ANTIALIAS, grey=st.integers(0, 255))
def test_a_grey_picture_stays_so(height, width, size, antialias, grey):
    frames = torch.full((1, 3, height, width), grey, dtype=torch.uint8)
    assert set(resize_short_side(frames, size, antialias=antialias).unique().tolist()) == {grey}


@given(height=SIDES, width=SIDES, size=st.integers(1, 64), antialias=ANTIALIAS, seed=SEEDS)
def test_scaling_knows_no_direction(height, width, size, antialias, seed):
    """A picture mirrored or turned over its diagonal is scaled to the same picture, mirrored or turned."""
    frames = pixels(seed, 1, 3, height, width)
    scaled = resize_short_side(frames, size, antialias=antialias)
    for change in (lambda clip: clip.flip(-1), lambda clip: clip.flip(-2), lambda clip: clip.transpose(-1, -2)):
        assert near(resize_short_side(change(frames), size, antialias=antialias), change(scaled))


@given(width=st.integers(20, 120), wanted=st.integers(20, 120), antialias=ANTIALIAS)
def test_a_ramp_stays_at_its_place(width, wanted, antialias):
    """A pixel's value lies at its centre: a linear ramp scaled is the same ramp over the whole width, but for edges."""
    place = (torch.arange(width) + 0.5) / width
    ramp = (255 * place).round().to(torch.uint8).expand(1, 3, 20, -1)
    scaled = resize(ramp, [20, wanted], antialias=antialias)[0, 0, 10].double()
    expected = 255 * (torch.arange(wanted) + 0.5) / wanted
    edge = max(1, -(-wanted // width), 2 * wanted // 20)
    assert (scaled - expected)[edge:-edge].abs().max() <= 1.5


@given(mean=COLOURS, std=SPREADS, bgr=st.booleans(), value_range=st.sampled_from([1, 255]), seed=SEEDS)
def test_normalisation_can_be_undone(mean, std, bgr, value_range, seed):
    order = "bgr" if bgr else "rgb"
    spec = ClipSpec(1, 1, 1, mean=mean, std=std, value_range=value_range, channel_order=order)
    frames = pixels(seed, 2, 3, 5, 4)
    clip = normalise(frames, spec).double()
    back = (clip * torch.tensor(std).view(-1, 1, 1) + torch.tensor(mean).view(-1, 1, 1)) * 255 / value_range
    back = back.flip(-3) if bgr else back
    scale = max(1.0, max(map(abs, mean)) * 255 / value_range)
    assert (back - frames).abs().max() <= 1e-5 * scale + 1e-3
    assert torch.equal(normalise(frames[..., 1:4, 2:], spec), normalise(frames, spec)[..., 1:4, 2:])


@given(height=SIDES, width=SIDES, flow=st.booleans(), seed=SEEDS)
def test_a_mirror_twice_is_nothing(height, width, flow, seed):
    spec = ClipSpec(1, 1, 1)
    spec = spec.of_flow() if flow else spec
    frames = pixels(seed, 2, 4 if flow else 3, height, width)
    assert torch.equal(mirror(mirror(frames, spec), spec), frames)
    if not flow:
        assert torch.equal(mirror(frames, spec), frames.flip(-1))


@given(size=st.integers(1, 64), more=st.integers(0, 60), wider=st.integers(0, 60))
def test_crops_are_placed_evenly(size, more, wider):
    """The centre is the centre within half a pixel; the outer of three crops touch both edges; mirrors swap them."""
    width, height = size + more, size + wider
    x, y = centre_place(width, height, size)
    assert abs(2 * x - more) <= 1
    assert abs(2 * y - wider) <= 1
    places = three_places(width, height, size)
    longest = max(more, wider)
    assert [max(place) - min(longest, max(place)) for place in places] == [0, 0, 0]
    along = [(y if height > width else x) for x, y in places]
    assert (along[0], along[2]) == (0, longest)
    assert abs(2 * along[1] - longest) <= 1
    corner_to_centre = five_places(width, height, size)
    assert corner_to_centre[0] == (0, 0)
    assert all(0 <= room - place < 4 for room, place in zip((more, wider), corner_to_centre[3], strict=True))
    assert tuple(2 * place for place in corner_to_centre[4]) == corner_to_centre[3]


@settings(max_examples=60)
@given(
    spec=SPECS,
    height=st.integers(8, 60),
    width=st.integers(8, 60),
    clips=st.integers(1, 3),
    crops=st.sampled_from([1, 3, 10]),
    seed=SEEDS,
)
def test_views_have_their_shape_and_range(spec, height, width, clips, crops, seed):
    frames = pixels(seed, clips, 2, 3, height, width)
    made = views(frames, spec, Views(clips, crops))
    assert made.shape == (clips * crops, 2, 3, spec.size, spec.size)
    lowest = normalise(torch.zeros(1, 3, 1, 1, dtype=torch.uint8), spec)
    highest = normalise(torch.full((1, 3, 1, 1), 255, dtype=torch.uint8), spec)
    assert (lowest - 1e-4 <= made).all()
    assert (made <= highest + 1e-4).all()
    one_by_one = torch.cat([views(frames[clip : clip + 1], spec, Views(1, crops)) for clip in range(clips)])
    assert torch.equal(made, one_by_one)
    if crops == 10:
        assert torch.equal(made[1::2], made[0::2].flip(-1))


@given(height=st.integers(8, 40), width=st.integers(8, 40), seed=SEEDS)
def test_three_crops_of_a_mirrored_video_are_the_mirrored_crops(height, width, seed):
    spec = ClipSpec(frames=1, size=8, resize=8, **PLAIN)
    frames = pixels(seed, 1, 1, 3, height, width)
    first, _, last = views(frames, spec, Views(1, 3))
    mirrored_first, _, mirrored_last = views(frames.flip(-1), spec, Views(1, 3))
    if width >= height:
        first, last = last, first
    assert near(mirrored_first, first.flip(-1))
    assert near(mirrored_last, last.flip(-1))


@settings(max_examples=60)
@given(spec=SPECS, height=st.integers(8, 60), width=st.integers(8, 60), flip=st.booleans(), seed=SEEDS)
def test_a_training_clip_depends_on_its_seed_alone(spec, height, width, flip, seed):
    frames = pixels(seed, 2, 3, height, width)
    transform = default_train_transform(spec, flip=flip)
    clip, mirrored = transform(frames, spec, torch.Generator().manual_seed(seed))
    again, _ = transform(frames.clone(), spec, torch.Generator().manual_seed(seed))
    assert torch.equal(clip, again)
    assert clip.shape == (2, 3, spec.size, spec.size)
    assert clip.isfinite().all()
    assert flip or not mirrored


@given(height=st.integers(8, 30), width=st.integers(8, 30), size=st.integers(1, 8), seed=SEEDS)
def test_a_random_square_is_a_part_of_the_picture(height, width, size, seed):
    """Without scaling every pixel of the clip is one of the picture, at the same distance from its neighbours."""
    spec = ClipSpec(frames=1, size=size, resize=min(height, width), sampling="timed", **PLAIN)
    places = torch.arange(height * width).view(1, 1, height, width)
    frames = torch.cat([places // 256, places % 256, places * 0], dim=1).to(torch.uint8)
    clip, _ = TrainTransform(short_side=(spec.resize, spec.resize), flip=False)(
        frames, spec, torch.Generator().manual_seed(seed)
    )
    found = (clip[0, 0] * 256 + clip[0, 1]).round().long()
    y, x = divmod(int(found[0, 0]), width)
    assert torch.equal(found, places[0, 0, y : y + size, x : x + size])


@pytest.mark.parametrize("antialias", [True, False])
def test_the_size_that_is_there_changes_nothing(antialias):
    frames = pixels(0, 2, 3, 17, 23)
    assert resize_short_side(frames, 17, antialias=antialias) is frames
