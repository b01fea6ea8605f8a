"""The moving-digits set: what it promises about motion, truth, parts, randomness and files."""

import csv
import gzip
import json
import struct
from itertools import groupby, pairwise

import av
import numpy as np
import pytest
import torch

from videozoo.clip_spec import ClipSpec
from videozoo.data.datamodules.moving_digits import MovingDigits
from videozoo.data.digit_glyphs import ALPHABETS, Glyphs
from videozoo.data.digit_set import DigitClips, DigitSet
from videozoo.data.digit_textures import TEXTURES
from videozoo.data.digit_video_backgrounds import VideoBackgrounds
from videozoo.data.mnist import MnistDigits, read_idx
from videozoo.data.moving_digits import DIRECTIONS, LABELS, MIN_FRAMES, draw_runs, make_video
from videozoo.data.moving_digits_files import write_digit_videos, write_video
from videozoo.errors import AnnotationError, SettingError

GREY = 60
SPEC = ClipSpec(frames=8, size=32, resize=36)


def plain(frames, size, rng):
    return torch.full((frames, 3, size, size), GREY, dtype=torch.uint8)


def centroids(video):
    """Centre of what differs from the plain background, (T, 2) as y, x."""
    ink = (video.float() - GREY).clamp(min=0).mean(dim=1)
    axis = torch.arange(ink.shape[-1], dtype=torch.float32)
    mass = ink.sum(dim=(1, 2))
    return torch.stack([(ink.sum(2) * axis).sum(1) / mass, (ink.sum(1) * axis).sum(1) / mass], dim=1)


def runs_of(video):
    frame = 0
    for kind, same in groupby(video.kinds):
        length = len(list(same))
        yield kind, slice(frame, frame + length)
        frame += length


def test_a_video_is_the_same_whenever_it_is_made():
    first = make_video(5, 3)
    make_video(5, 2)
    again = make_video(5, 3)
    assert torch.equal(first.frames, again.frames)
    assert first.kinds == again.kinds
    for other in (make_video(6, 3), make_video(5, 7), make_video(5, 3, "test")):
        assert other.label == first.label
        assert not torch.equal(first.frames, other.frames)


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("index", range(8))
def test_the_class_is_the_motion_of_the_relevant_frames(index, size):
    video = make_video(1, index, "train", size=size, backgrounds=plain)
    assert video.frames.shape == (32, 3, size, size)
    assert video.frames.dtype == torch.uint8
    steps = centroids(video.frames[video.relevance]).diff(dim=0) * 128 / size
    speed = steps @ torch.tensor(DIRECTIONS[video.label], dtype=torch.float32)
    across = steps @ torch.tensor(DIRECTIONS[video.label][::-1], dtype=torch.float32)
    assert 1.8 < speed.mean() < 4.2  # pixels a frame, rounded to whole pixels at both ends
    assert speed.min() > 0
    assert across.abs().max() < 0.1


def test_distractors_stand_or_move_diagonally():
    seen = set()
    for index in range(16):
        video = make_video(2, index, size=64, backgrounds=plain)
        for kind, frames in runs_of(video):
            if kind == "distractor":
                travel = centroids(video.frames[frames])[[0, -1]].diff(dim=0)[0]
                assert (travel.abs() < 0.1).all() or (travel.abs() > 1.5).all()
                seen.add(tuple(travel.sign().int().tolist()) if (travel.abs() > 1.5).all() else (0, 0))
    assert len(seen) == 5


@pytest.mark.parametrize("index", range(6))
def test_the_truth_says_what_each_frame_shows(index):
    video = make_video(3, index, "test", size=64, backgrounds=plain)
    assert video.relevance.tolist() == [kind == "target" for kind in video.kinds]
    for frame, kind in zip(video.frames, video.kinds, strict=True):
        assert kind in ("target", "distractor", "black", "background")
        if kind == "black":
            assert frame.max() == 0
        elif kind == "background":
            assert (frame == GREY).all()
        else:
            assert frame.max() > 200
            assert (frame == GREY).float().mean() > 0.8


@pytest.mark.parametrize("frames", [MIN_FRAMES, 21, 32, 50, 96])
def test_runs_have_the_promised_lengths(frames):
    rng = np.random.default_rng(0)
    places = set()
    for _ in range(100):
        runs = draw_runs(frames, rng)
        kinds = [kind for kind, _ in runs]
        lengths = dict.fromkeys(kinds)
        assert sum(length for _, length in runs) == frames
        assert set(lengths) == {"target", "black", "background", "distractor"}
        assert kinds.count("target") == 1
        assert all(before != after for before, after in pairwise(kinds))
        for kind, length in runs:
            assert frames // 4 <= length <= frames // 2 if kind == "target" else 3 <= length <= 8
        places.add(kinds.index("target"))
    assert len(places) > 2


def test_the_parts_share_neither_digits_nor_textures():
    assert not set(TEXTURES["train"]) & set(TEXTURES["test"])
    for digit in range(10):
        assert ALPHABETS["train"][digit] != ALPHABETS["test"][digit]


def test_every_drawn_digit_lies_whole_in_its_square():
    for part in ("train", "test"):
        for digit in range(10):
            ink = Glyphs(part)(digit, 40, np.random.default_rng(digit))
            assert ink.shape == (40, 40)
            assert ink.max() == 1
            assert 0.02 < ink.mean() < 0.35
            border = torch.cat([ink[0], ink[-1], ink[:, 0], ink[:, -1]])
            assert border.max() == 0, (part, digit)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"seed": -1}, "seed -1"),
        ({"frames": 19}, "frames 19"),
        ({"size": 33}, "size 33"),
        ({"size": 16}, "size 16"),
        ({"part": "val"}, "part 'val'"),
    ],
)
def test_wrong_settings_are_refused(settings, said):
    with pytest.raises(SettingError, match=said):
        DigitSet(**settings)


def test_wrong_places_are_refused():
    with pytest.raises(SettingError, match="index -1"):
        make_video(0, -1)
    with pytest.raises(SettingError, match="videos 0"):
        DigitClips(DigitSet(), 0, SPEC, training=False)


# MNIST files


def write_idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    content = header + array.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def mnist(tmp_path):
    """Twenty images whose ink tells digit and part: train packed, test plain."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    labels = np.arange(20) % 10
    for prefix, end, base in (("train", ".gz", 100), ("t10k", "", 200)):
        images = np.zeros((20, 28, 28)) + (base + labels)[:, None, None]
        write_idx(folder / f"{prefix}-images-idx3-ubyte{end}", images)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte{end}", labels)
    return folder


def test_mnist_files_give_each_part_its_own_digits(mnist):
    rng = np.random.default_rng(0)
    for part, base in (("train", 100), ("test", 200)):
        digits = MnistDigits(mnist, part)
        for digit in range(10):
            ink = digits(digit, 20, rng)
            assert ink.shape == (20, 20)
            torch.testing.assert_close(ink, torch.full((20, 20), (base + digit) / 255))
    video = DigitSet(1, size=64, mnist=str(mnist)).video(0)
    assert not torch.equal(video.frames, DigitSet(1, size=64).video(0).frames)


def test_damaged_mnist_files_are_named(mnist):
    labels = mnist / "t10k-labels-idx1-ubyte"
    content = labels.read_bytes()
    labels.write_bytes(content[:-1])
    with pytest.raises(AnnotationError, match=r"t10k-labels-idx1-ubyte: 19 bytes of data, but the header says 20"):
        MnistDigits(mnist, "test")
    labels.write_bytes(content[:3])
    with pytest.raises(AnnotationError, match="not an idx file"):
        MnistDigits(mnist, "test")
    write_idx(labels, np.arange(10))
    with pytest.raises(AnnotationError, match="20 images, but 10 labels"):
        MnistDigits(mnist, "test")
    write_idx(labels, np.arange(20) % 9)
    with pytest.raises(AnnotationError, match=r"no image of the digits \[9\]"):
        MnistDigits(mnist, "test")
    packed = mnist / "train-images-idx3-ubyte.gz"
    packed.write_bytes(packed.read_bytes()[:60])
    with pytest.raises(AnnotationError, match="cannot be read"):
        MnistDigits(mnist, "train")
    with pytest.raises(AnnotationError, match="no MNIST file"):
        MnistDigits(mnist.parent, "train")


@pytest.mark.realdata
def test_the_real_mnist_files_are_read(shared):
    folder = shared("data/mnist")
    digits = MnistDigits(folder, "test")
    assert digits.images.shape == (10000, 28, 28)
    assert [len(places) for places in digits.places] == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert len(read_idx(folder / "train-labels-idx1-ubyte.gz", dimensions=1)) == 60000
    video = DigitSet(1, "test", mnist=str(folder)).video(0)
    assert video.frames[video.relevance].amax(dim=(1, 2, 3)).min() > 200


# Backgrounds from videos


@pytest.fixture
def background_videos(tmp_path):
    """Five short videos, brighter one by one, not square."""
    folder = tmp_path / "backgrounds"
    folder.mkdir()
    for place in range(5):
        frames = torch.full((10, 3, 48, 64), 40 * (place + 1), dtype=torch.uint8)
        write_video(folder / f"{place}.mp4", frames, fps=10)
    return folder


def test_backgrounds_come_from_videos_that_the_parts_do_not_share(background_videos):
    train, test = (VideoBackgrounds(background_videos, part) for part in ("train", "test"))
    assert sorted(train.files + test.files) == sorted(background_videos.iterdir())
    assert len(test.files) == 1
    assert VideoBackgrounds(f"{background_videos}/*.mp4", "test").files == test.files
    frames = test(32, 64, np.random.default_rng(0))
    assert frames.shape == (32, 3, 64, 64)
    assert (frames.float() - 0.7 * 200).abs().max() < 3
    video = DigitSet(1, size=64, backgrounds=str(background_videos)).video(0)
    again = DigitSet(1, size=64, backgrounds=str(background_videos)).video(0)
    assert torch.equal(video.frames, again.frames)


def test_too_few_background_videos_are_refused(tmp_path):
    with pytest.raises(SettingError, match="0 background videos"):
        VideoBackgrounds(tmp_path, "train")


# Clips and loaders


def test_clips_are_normalised_frames_of_the_video():
    spec = ClipSpec(frames=32, size=64, resize=64, sampling="all")
    digits = DigitSet(4, size=64)
    sample = DigitClips(digits, 2, spec, first=5, training=False)[1]
    assert sample["clip"].shape == (32, 3, 64, 64)
    assert int(sample["index"]) == 1
    video = digits.video(6)
    assert int(sample["label"]) == video.label
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (spec.mean, spec.std))
    torch.testing.assert_close((sample["clip"] * std + mean) * 255, video.frames.float(), atol=1e-2, rtol=0)


def test_training_clips_are_drawn_anew_each_epoch_and_test_clips_never():
    training, test = (DigitClips(DigitSet(4, size=36), 2, SPEC, training=training) for training in (True, False))
    assert torch.equal(training[0, 1]["clip"], training[0, 1]["clip"])
    assert any(not torch.equal(training[0, 1]["clip"], training[epoch, 1]["clip"]) for epoch in range(1, 4))
    assert torch.equal(test[0, 1]["clip"], test[1, 1]["clip"])
    assert len(list(test)) == 2


def test_the_first_epochs_can_show_relevant_frames_alone():
    spec = ClipSpec(frames=8, size=36, resize=36)
    digits = DigitSet(4, size=36)
    clips = DigitClips(digits, 4, spec, training=True, relevant_epochs=1)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (spec.mean, spec.std))
    for index in range(4):
        video = digits.video(index)
        seen = ((clips[0, index]["clip"] * std + mean) * 255).round().to(torch.uint8)
        relevant = {frame.numpy().tobytes() for frame in video.frames[video.relevance]}
        assert all(frame.numpy().tobytes() in relevant for frame in seen)
    later = ((clips[1, 0]["clip"] * std + mean) * 255).round().to(torch.uint8)
    assert any((frame == 0).all() for frame in later)  # a black one


def test_batches_are_the_same_with_any_number_of_workers():
    def batches(workers):
        data = MovingDigits(
            SPEC, DigitSet(7, size=36), videos_train=12, videos_val=4, videos_test=4, batch_size=4, num_workers=workers
        )
        data.setup("fit")
        return list(data.train_dataloader())

    alone, shared_out = batches(0), batches(2)
    assert len(alone) == 3
    assert sorted(torch.cat([batch["index"] for batch in alone]).tolist()) == list(range(12))
    for ours, theirs in zip(alone, shared_out, strict=True):
        assert ours["clip"].shape == (4, 8, 3, 32, 32)
        for key in ("clip", "label", "index"):
            assert torch.equal(ours[key], theirs[key])


def test_validation_videos_are_none_of_the_training_ones():
    data = MovingDigits(SPEC, DigitSet(7, size=36), videos_train=4, videos_val=4, videos_test=4)
    data.setup("fit")
    val = next(iter(data.val_dataloader()))
    direct = DigitClips(DigitSet(7, size=36), 8, SPEC, training=False)
    assert all(torch.equal(clip, direct[4 + place]["clip"]) for place, clip in enumerate(val["clip"]))
    assert data.test_set.digits.part == "test"


# Files


def read_all(path):
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        return torch.stack([torch.from_numpy(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)])


def test_files_hold_the_videos_and_their_truth(tmp_path):
    files = write_digit_videos(tmp_path / "set", 5, 9, part="test", size=64)
    assert [file.relative_to(tmp_path / "set").as_posix() for file in files] == [
        "up/digits_00000.mp4", "down/digits_00001.mp4", "left/digits_00002.mp4", "right/digits_00003.mp4",
        "up/digits_00004.mp4",
    ]  # fmt: skip
    with open(tmp_path / "set" / "annotations.csv", newline="") as stream:
        assert [tuple(row.values()) for row in csv.DictReader(stream)] == [
            (file.relative_to(tmp_path / "set").as_posix(), file.parent.name) for file in files
        ]
    with open(tmp_path / "set" / "relevance.csv", newline="") as stream:
        truth = list(csv.DictReader(stream))
    for index, file in enumerate(files):
        video = DigitSet(9, "test", size=64).video(index)
        frames = read_all(file).permute(0, 3, 1, 2)
        assert LABELS[video.label] == file.parent.name
        assert (frames.float() - video.frames.float()).abs().mean() < 12  # chroma at half resolution
        rows = truth[32 * index : 32 * index + 32]
        assert [row["kind"] for row in rows] == list(video.kinds)
        assert [int(row["frame"]) for row in rows] == list(range(32))
        assert [int(row["relevant"]) for row in rows] == video.relevance.int().tolist()
    assert json.loads((tmp_path / "set" / "moving_digits.json").read_text())["seed"] == 9


def test_the_same_settings_give_the_same_bytes(tmp_path):
    for name, videos in (("a", 2), ("b", 4), ("b", 2)):  # the second writing of b leaves nothing of the first
        write_digit_videos(tmp_path / name, videos, 1, size=64)
    content = [
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in (tmp_path / name).rglob("*")
            if path.is_file()
        }
        for name in ("a", "b")
    ]
    assert len(content[0]) == 5
    assert content[0] == content[1]


def test_a_folder_with_anything_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(SettingError, match=r"not empty.*notes\.txt"):
        write_digit_videos(tmp_path, 1, 1, size=64)
    write_digit_videos(tmp_path / "set", 1, 1, size=64)
    kept = tmp_path / "set" / "up" / "holiday.mp4"
    kept.write_bytes(b"mine")
    with pytest.raises(SettingError, match=r"holiday\.mp4"):
        write_digit_videos(tmp_path / "set", 1, 1, size=64)
    assert kept.read_bytes() == b"mine"
    assert (tmp_path / "set" / "annotations.csv").exists()
    with pytest.raises(SettingError, match="is a file"):
        write_digit_videos(tmp_path / "notes.txt", 1, 1, size=64)
    with pytest.raises(SettingError, match="videos 0"):
        write_digit_videos(tmp_path / "new", 0, 1, size=64)


# Command line


def test_make_digits_writes_a_set_and_says_what_is_wrong(tmp_path, capsys):
    from videozoo.cli import main

    words = ["make-digits", str(tmp_path / "set"), "--videos", "2", "--seed", "3", "--size", "64", "--part", "test"]
    assert main(words) == 0
    assert "2 videos" in capsys.readouterr().out
    assert len(list((tmp_path / "set").rglob("*.mp4"))) == 2
    assert main([*words, "--frames", "4"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("videozoo: frames 4")
    assert error.count("\n") == 1


@pytest.mark.slow
def test_train_digits_writes_a_checkpoint_that_gives_the_recorded_answers(tmp_path):
    from videozoo import load_model, model_info
    from videozoo.cli import main

    words = ["train-digits", "--arch", "tsm_resnet10_tiny", "--out", str(tmp_path), "--epochs", "1", "--videos", "16"]
    assert main([*words, "--test-videos", "8", "--batch-size", "8"]) == 0
    row = model_info(str(tmp_path))
    assert [result.n for result in row.results] == [8, 8]
    assert [result.note for result in row.results] == ["read from mp4 files", "frames as generated"]
    model = load_model(str(tmp_path))
    assert model.labels == LABELS
    clips = DigitClips(DigitSet(1, "test"), 8, model.clip_spec, training=False)
    with torch.inference_mode():
        right = [int(model(sample["clip"][None]).argmax()) == int(sample["label"]) for sample in clips]
    assert 100 * sum(right) / 8 == row.results[1].top1
