"""Scaling, crops, mirrors and normalisation against what the official codes were recorded to do."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import moving_square
from hypothesis import given
from hypothesis import strategies as st

from videozoo.clip_spec import ClipSpec, Views
from videozoo.data.crops import (
    SCALES,
    centre_place,
    five_places,
    multi_scale_places,
    multi_scale_sizes,
    three_places,
)
from videozoo.data.decoding import VideoReader
from videozoo.data.reading import read_views
from videozoo.data.sampling import sample_indices
from videozoo.data.transforms import (
    TrainTransform,
    default_train_transform,
    mirror,
    normalise,
    resize_short_side,
    views,
)
from videozoo.errors import SettingError

RECORDED = json.loads((Path(__file__).parent / "data" / "spatial.json").read_text())  # part of the recorded cases
PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0), "value_range": 255}  # leaves pixels as they are


@pytest.fixture(params=["part", "all"])
def recorded(request, reference):
    """The recorded crops and sizes: those kept here, or all that are beside the checkout."""
    return RECORDED if request.param == "part" else reference("protocols/spatial.json")


def pixels(*shape):
    return torch.randint(256, shape, dtype=torch.uint8)


def random(seed=0):
    return torch.Generator().manual_seed(seed)


def test_centre_crops(recorded):
    for case in recorded["center_crop"]:
        assert list(centre_place(*case["image"], case["crop"])) == case["torchvision_and_tsm"]


def test_three_crops(recorded):
    for case in recorded["three_crop"]:
        assert [[*place, False] for place in three_places(*case["image"], case["crop"])] == case["pyslowfast"]


def test_ten_crops(recorded):
    for case in recorded["ten_crop"]:
        places = five_places(*case["image"], case["crop"])
        assert [[*place, mirrored] for place in places for mirrored in (False, True)] == case["tsm"]


def test_multi_scale_crops(recorded):
    for case in recorded["multi_scale_crop"]:
        sizes = multi_scale_sizes(*case["image"], case["input"], tuple(case["scales"]))
        assert [list(size) for size in sizes] == case["sizes"]
        for size, offsets in zip(sizes, case["offsets"], strict=True):
            assert [list(place) for place in multi_scale_places(*case["image"], *size)] == offsets


def test_long_side_is_rounded_down(recorded):
    for case in recorded["short_side_size"]:
        width, height = case["image"]
        scaled = resize_short_side(
            torch.zeros(1, 1, height, width, dtype=torch.uint8), case["short_side"], antialias=True
        )
        assert [scaled.shape[-1], scaled.shape[-2]] == case["torchvision_and_tsm"]


@pytest.mark.parametrize("side", [128, 224])
def test_scaling_equals_the_one_that_the_weights_were_trained_with(reference, side):
    pictures = reference("protocols/resize_example.npz")
    source = torch.from_numpy(pictures["source"]).permute(2, 0, 1)[None]

    def difference(antialias, name):
        ours = resize_short_side(source, side, antialias=antialias)[0].permute(1, 2, 0).float()
        return (ours - torch.from_numpy(pictures[name]).float()).abs()

    assert difference(True, f"pillow_bilinear_{side}").max() <= 1
    assert difference(True, f"pillow_bilinear_{side}").mean() < 0.05
    assert difference(False, f"torch_bilinear_{side}").max() <= 0.51  # rounded to whole grey levels
    assert difference(False, f"torch_bilinear_{side}").mean() < 0.3


def test_preprocessing_of_the_published_networks(reference):
    arrays = reference("preprocessing.npz")
    frames = torch.from_numpy(arrays["frames_rgb_uint8"]).permute(0, 3, 1, 2)
    spec = ClipSpec(frames=3, size=1, resize=1)
    assert torch.allclose(normalise(frames, spec).flatten(0, 1), torch.from_numpy(arrays["resnet_rgb"]), atol=2e-6)
    caffe = ClipSpec(
        frames=3, size=1, resize=1, mean=(104, 117, 128), std=(1, 1, 1), value_range=255, channel_order="bgr"
    )
    assert torch.equal(normalise(frames, caffe).flatten(0, 1), torch.from_numpy(arrays["bn_inception_bgr"]))
    flow = torch.from_numpy(arrays["flow_uint8"])
    as_resnet = ClipSpec(frames=1, size=1, resize=1, mean=(0.5,), std=(0.226,), modality="flow")
    assert torch.allclose(normalise(flow, as_resnet), torch.from_numpy(arrays["flow_resnet"]), atol=2e-6)
    as_caffe = ClipSpec(frames=1, size=1, resize=1, mean=(128,), std=(1,), value_range=255, modality="flow")
    # The published code forgets to subtract the mean where there are only two channels.
    assert torch.equal(normalise(flow, as_caffe), torch.from_numpy(arrays["flow_bn_inception"]) - 128)
    scaled = resize_short_side(
        torch.from_numpy(arrays["scale.in_rgb_uint8"]).permute(2, 0, 1)[None], 24, antialias=True
    )
    assert (scaled[0].permute(1, 2, 0).int() - torch.from_numpy(arrays["scale.shorter_side_24"]).int()).abs().max() <= 1


def test_normalisation_by_hand():
    spec = ClipSpec(frames=1, size=1, resize=1, mean=(0.5, 0.4, 0.3), std=(0.2, 0.1, 0.3))
    frames = torch.tensor([255, 102, 0], dtype=torch.uint8).view(1, 3, 1, 1)
    assert normalise(frames, spec).flatten().tolist() == pytest.approx([2.5, 0, -1], abs=1e-6)
    reordered = normalise(
        frames, ClipSpec(frames=1, size=1, resize=1, mean=spec.mean, std=spec.std, channel_order="bgr")
    )
    assert reordered.flatten().tolist() == pytest.approx([-2.5, 0, 7 / 3], abs=1e-6)
    stack = normalise(frames.repeat(1, 2, 1, 1), spec)
    assert torch.equal(stack[:, :3], stack[:, 3:])
    floats = frames.float()
    assert torch.equal(normalise(floats, spec), normalise(frames, spec))
    assert torch.equal(floats, frames.float())  # what was given is left alone
    with pytest.raises(SettingError, match="do not fit a clip of 4 channels"):
        normalise(pixels(1, 4, 2, 2), spec)


def test_views_are_clips_times_crops_in_order():
    spec = ClipSpec(frames=2, size=6, resize=8, **PLAIN)
    frames = pixels(4, 2, 3, 8, 12)  # no scaling
    centre = views(frames, spec, Views(clips=4))
    assert torch.equal(centre, frames[..., 1:7, 3:9].float())
    three = views(frames, spec, Views(clips=4, crops=3)).unflatten(0, (4, 3))
    assert torch.equal(three[:, 0], frames[..., 1:7, 0:6].float())
    assert torch.equal(three[:, 1], frames[..., 1:7, 3:9].float())
    assert torch.equal(three[:, 2], frames[..., 1:7, 6:12].float())
    ten = views(frames, spec, Views(clips=4, crops=10)).unflatten(0, (4, 10))
    assert torch.equal(ten[:, 0], frames[..., :6, :6].float())
    assert torch.equal(ten[:, 1], ten[:, 0].flip(-1))
    assert torch.equal(ten[:, 8], frames[..., 0:6, 2:8].float())  # twice a quarter of the room, rounded down


def test_three_crops_follow_the_longer_side():
    spec = ClipSpec(frames=1, size=8, resize=8, **PLAIN)
    portrait = pixels(1, 1, 3, 12, 8)
    crops = views(portrait, spec, Views(crops=3))
    assert torch.equal(crops[:, 0], torch.cat([portrait[0, :, :, y : y + 8] for y in (0, 2, 4)]).float())


def test_a_protocol_may_test_at_another_resolution():
    spec = ClipSpec(frames=1, size=16, resize=20)
    frames = pixels(1, 1, 3, 40, 60)
    assert views(frames, spec, Views(crops=3, size=20)).shape == (3, 1, 3, 20, 20)
    assert views(frames, spec, Views(size=32)).shape == (1, 1, 3, 32, 32)
    assert views(frames, spec, Views(size=24, resize=30)).shape == (1, 1, 3, 24, 24)
    with pytest.raises(SettingError, match="size 24 do not fit a short side"):
        views(frames, spec, Views(size=24, resize=22))


def test_mirror_of_flow_turns_its_sign():
    spec = ClipSpec(frames=1, size=1, resize=1, modality="flow", mean=(0.5,), std=(0.226,))
    flow = torch.tensor([[128, 255], [7, 9]], dtype=torch.uint8).view(1, 2, 1, 2)  # u, then v
    assert mirror(flow, spec).flatten().tolist() == [0, 127, 9, 7]
    assert flow.flatten().tolist() == [128, 255, 7, 9]
    rgb = pixels(2, 3, 4, 5)
    assert torch.equal(mirror(rgb, ClipSpec(frames=2, size=1, resize=1)), rgb.flip(-1))


SPECS = {
    "tsn": ClipSpec(frames=3, size=32, resize=40),
    "x3d": ClipSpec(frames=3, size=32, resize=40, sampling="timed", stride=2, antialias=False),
}


@pytest.mark.parametrize("family", SPECS)
def test_every_frame_of_a_training_clip_is_treated_alike(family):
    spec = SPECS[family]
    same = pixels(1, 3, 50, 70).expand(3, -1, -1, -1)
    transform = default_train_transform(spec)
    seen = set()
    for seed in range(20):
        clip, mirrored = transform(same, spec, random(seed))
        assert clip.shape == (3, 3, 32, 32)
        assert clip.dtype == torch.float32
        assert torch.equal(clip[0], clip[1])
        assert torch.equal(clip[0], clip[2])
        again, mirrored_again = transform(same, spec, random(seed))
        assert torch.equal(clip, again)
        assert mirrored == mirrored_again
        seen.add((mirrored, round(clip.sum().item(), 2)))
    assert {mirrored for mirrored, _ in seen} == {True, False}
    assert len(seen) > 10
    assert not any(default_train_transform(spec, flip=False)(same, spec, random(seed))[1] for seed in range(20))


@pytest.mark.parametrize("family", SPECS)
def test_a_mirrored_training_clip_is_the_plain_one_mirrored(family):
    spec = SPECS[family]
    frames = pixels(2, 3, 50, 70)
    for seed in range(6):
        clip, mirrored = default_train_transform(spec)(frames, spec, random(seed))
        plain, _ = default_train_transform(spec, flip=False)(frames, spec, random(seed))
        assert torch.equal(clip, plain.flip(-1) if mirrored else plain)


def test_x3d_trains_on_the_published_sides():
    for size, resize, longest in ((160, 182, 228), (224, 256, 320), (312, 356, 446)):
        spec = ClipSpec(frames=4, size=size, resize=resize, sampling="timed")
        assert default_train_transform(spec).short_side == (resize, longest)
    assert default_train_transform(ClipSpec(frames=1, size=1, resize=1)).scales == SCALES
    assert default_train_transform(ClipSpec(frames=1, size=1, resize=1, modality="flow")).scales == SCALES[:3]


def test_random_square_reaches_every_edge():
    spec = ClipSpec(frames=1, size=8, resize=10, sampling="timed", **PLAIN)
    ramp = torch.arange(120, dtype=torch.uint8).view(1, 1, 10, 12).expand(1, 3, -1, -1)
    transform = TrainTransform(short_side=(10, 10), flip=False)
    corners = {int(transform(ramp, spec, random(seed))[0][0, 0, 0, 0]) for seed in range(300)}
    assert corners == {12 * y + x for y in range(3) for x in range(5)}


@given(
    width=st.integers(16, 90), height=st.integers(16, 90), size=st.integers(4, 16), scale=st.sampled_from([1.0, 0.75])
)
def test_crops_lie_inside_the_picture(width, height, size, scale):
    for x, y in [
        *three_places(width, height, size),
        *five_places(width, height, size),
        centre_place(width, height, size),
    ]:
        assert 0 <= x <= width - size
        assert 0 <= y <= height - size
    for crop_width, crop_height in multi_scale_sizes(width, height, size, (scale, 0.66)):
        assert crop_width <= width
        assert crop_height <= height
        for x, y in multi_scale_places(width, height, crop_width, crop_height):
            assert 0 <= x <= width - crop_width
            assert 0 <= y <= height - crop_height


def test_reading_views_is_sampling_then_transforms(videos):
    spec = ClipSpec(frames=4, size=64, resize=72, frames_per_segment=2)
    protocol = Views(clips=3, crops=3)
    with VideoReader(videos[0]) as reader:
        clips = sample_indices(spec, reader.frame_count, reader.fps, clips=3)
        expected = views(torch.stack([reader.frames(clip) for clip in clips]), spec, protocol)
    assert torch.equal(read_views(videos[0], spec, protocol), expected)
    assert read_views(videos[0], spec).shape == (1, 4, 3, 64, 64)
    assert read_views(videos[0], spec, Views(frames=8)).shape == (1, 8, 3, 64, 64)


def test_frames_are_read_once_and_scaled_as_they_come(videos, monkeypatch):
    asked = []
    plain = VideoReader.frames

    def frames(self, indices, *, change=None):
        asked.append(list(indices))
        pictures = plain(self, indices, change=change)
        assert min(pictures.shape[-2:]) == 72
        return pictures

    monkeypatch.setattr(VideoReader, "frames", frames)
    read_views(videos[1], ClipSpec(frames=16, size=64, resize=72, sampling="dense"), Views(clips=5, crops=10))
    assert len(asked) == 1
    assert asked[0] == sorted(set(asked[0]))


def test_pictures_of_a_real_file_survive_the_whole_way(tmp_path):
    from conftest import write_video

    frames = moving_square(8, 64, 64)
    path = write_video(tmp_path / "square.mp4", frames)
    spec = ClipSpec(frames=8, size=64, resize=64, **PLAIN)
    clip = read_views(path, spec)[0].permute(0, 2, 3, 1).numpy()
    assert np.abs(clip - frames).mean() < 6  # what H.264 and half-resolution colour change
