"""Reading the real and the hostile clips beside the checkout, frame by frame."""

import csv
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import shared_path

from videozoo.data.decoding import VideoReader, VideoWarning, iterate
from videozoo.errors import VideoError

CLIPS = Path(__file__).parents[1].parent / "shared" / "data" / "clips"


def table(relative):
    path = CLIPS / relative
    return list(csv.DictReader(path.open(), delimiter="\t")) if path.exists() else []


def thumbnails(frames):
    grey = (frames.float() * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(1, keepdim=True)
    return torch.nn.functional.interpolate(grey, (8, 8), mode="area")[:, 0]


@pytest.mark.realdata
@pytest.mark.parametrize("row", table("labels.tsv"), ids=lambda row: Path(row["file"]).name)
def test_real_clips(row):
    recorded = torch.from_numpy(np.load(shared_path("data/clips/frames.npz"))[row["file"]]).float()
    count = int(row["frames_decoded"])
    wanted = sorted({0, 1 % count, count // 3, count // 2, max(0, count - 2), count - 1})
    with warnings.catch_warnings(), VideoReader(CLIPS / row["file"]) as reader:
        warnings.simplefilter("error", VideoWarning)
        assert reader.frame_count == count == len(recorded)
        frames = reader.frames(wanted)
        assert reader.fps == pytest.approx(float(row["fps"]), rel=0.01)
    assert tuple(frames.shape[1:]) == (3, int(row["display_height"]), int(row["display_width"]))
    for index, thumbnail in zip(wanted, thumbnails(frames), strict=True):
        distances = (recorded - thumbnail).abs().mean((1, 2))
        assert distances[index] < 3
        assert distances[index] <= distances.min() + 0.5  # still pictures repeat themselves


@pytest.mark.realdata
@pytest.mark.parametrize("row", table("hostile/expected.tsv"), ids=lambda row: row["file"])
def test_hostile_files(row):
    path = CLIPS / "hostile" / row["file"]
    if row["verdict"] == "reject":
        with pytest.raises(VideoError, match=row["file"]) as caught, VideoReader(path) as reader:
            reader.frames([0])
        assert "\n" not in str(caught.value)
        return
    recorded = torch.from_numpy(np.load(shared_path("data/clips/hostile/frames.npz"))[row["file"]]).float()
    with warnings.catch_warnings(record=True) as caught, VideoReader(path) as reader:
        warnings.simplefilter("always")
        count = reader.frame_count
        frames = reader.frames(range(count))
        assert abs(count - int(row["frames_skipping_bad_packets"])) <= 2
        assert bool(reader.problems) == bool(caught)
        assert reader.problems or row["verdict"] != "partial"
    assert (thumbnails(frames) - recorded[:count]).abs().mean() < 3


@pytest.mark.realdata
@pytest.mark.slow
@pytest.mark.parametrize("row", table("labels.tsv"), ids=lambda row: Path(row["file"]).name)
def test_every_real_frame_by_number_is_the_sequential_one(row):
    if int(row["width"]) > 1300:
        pytest.skip("too large to hold")
    expected = torch.cat(list(iterate(CLIPS / row["file"], 64)))
    draws = np.random.default_rng(3)
    with VideoReader(CLIPS / row["file"]) as reader:
        for _ in range(4):
            wanted = sorted(draws.integers(len(expected), size=5).tolist())
            assert torch.equal(reader.frames(wanted), expected[wanted])
        assert torch.equal(reader.frames(range(len(expected))), expected)
