"""What the fuzz and the properties found, each made anew as small as it can be; the story is in docs/robustness.md."""

import struct

import numpy as np
import pytest
import torch
from conftest import moving_square
from made_videos import encode
from PIL import Image

from videozoo.clip_spec import ClipSpec, Views
from videozoo.data.container import check_size
from videozoo.data.decoding import VideoReader
from videozoo.data.reading import read_views
from videozoo.data.sampling import sample_indices
from videozoo.data.transforms import resize_short_side
from videozoo.errors import ManifestError, VideoError
from videozoo.hub.manifest import read_manifest
from videozoo.hub.row_text import row_as_yaml

SMALL = ClipSpec(frames=4, size=16, resize=16)
QUARTER = (0, 0x10000, 0, -0x10000, 0, 0)  # a, b, u, c, d, v of the matrix in a track's header, 16.16 and 2.30


@pytest.mark.parametrize(
    ("matrix", "rotation"),
    [
        (QUARTER, 90),
        ((0,) * 6, 0),
        ((0xC000, 0xA000, 0, -0xA000, 0xC000, 0), 0),
        ((-0x10000, 0, 0, 0, -0x10000, 0), 180),
    ],
    ids=["quarter", "nothing", "askew", "half"],
)
def test_a_picture_is_turned_by_quarters_or_not_at_all(tmp_path, matrix, rotation):
    """A matrix of zeros is no angle, which FFmpeg gives as the least integer: the pictures came upside down."""
    path = encode(tmp_path / "turned.mp4", rotation=90, frames=moving_square(3, 32, 48))
    data = bytearray(path.read_bytes())
    struct.pack_into(">6i", data, data.index(b"tkhd") + 44, *matrix)  # version 0: 40 bytes of times and sizes before it
    path.write_bytes(data)
    with VideoReader(path) as reader:
        assert abs(reader.rotation) == rotation
        frame = reader.frames([0])
        assert frame.shape[-2:] == ((48, 32) if rotation == 90 else (32, 48))
        assert (reader.height, reader.width) == tuple(frame.shape[-2:])


@pytest.mark.parametrize(("height", "width"), [(2, 4096), (4096, 2)])
def test_pictures_out_of_all_proportion_are_refused(tmp_path, height, width):
    """A file of some hundred bytes asked for gigabytes: 2 x 16384 pixels scaled to a short side of 256 are 1.6 GB."""
    frames = np.zeros((1, height, width, 3), np.uint8)
    path = encode(tmp_path / "large.mkv", "ffv1", {}, frames=frames, pix_fmt="bgr0")
    with pytest.raises(
        VideoError, match=rf"large\.mkv: its pictures are {width} x {height}, at most \d+ pixels"
    ) as caught:
        read_views(path, SMALL, Views())
    assert "\n" not in str(caught.value)


def test_the_largest_picture_is_twice_8k():
    check_size("8k.mp4", 7680, 4320)
    check_size("twice.mp4", 8192, 8192)
    with pytest.raises(VideoError, match=r"16k\.mp4: its pictures are 15360 x 8640, at most 67108864 pixels"):
        check_size("16k.mp4", 15360, 8640)


def test_the_last_dense_clip_ends_with_the_video():
    """In floats 237 / 7 * 7 is less than 237: the last of eight clips began a frame early."""
    spec = ClipSpec(frames=8, size=1, resize=1, sampling="dense")
    clips = sample_indices(spec, 64 + 237, 25, clips=8)
    assert [clip[0] for clip in clips] == np.linspace(0, 237, 8, dtype=int).tolist()


@pytest.mark.parametrize(("height", "width", "size"), [(2, 2, 1), (5, 2, 1), (2, 1, 2), (1, 2, 2)])
def test_single_columns_keep_their_colours(height, width, size):
    """Where the result is one column wide, torch scaled bytes to other values than Pillow, or failed."""
    frames = torch.randint(256, (1, 3, height, width), dtype=torch.uint8)
    for layout in (frames, frames.transpose(-1, -2).contiguous().transpose(-1, -2)):
        scaled = resize_short_side(layout, size, antialias=True)
        for channel in range(3):
            picture = Image.fromarray(frames[0, channel].float().numpy())
            expected = np.array(picture.resize((scaled.shape[-1], scaled.shape[-2]), Image.Resampling.BILINEAR))
            assert np.abs(scaled[0, channel].numpy() - expected).max() <= 1


def test_a_next_line_character_is_written_as_it_is():
    """PyYAML wrote it as a line break, which is read as a blank."""
    import yaml

    row = {"name": "a.b", "note": {"text": "a\x85b", "umlaut": "ä"}}
    assert yaml.safe_load(row_as_yaml(row)) == [row]
    assert "ä" in row_as_yaml({"note": "ä"})


def test_a_separator_in_a_name_does_not_break_its_error_line(tmp_path):
    """The name is a next-line character."""
    path = tmp_path / "manifest.yaml"
    path.write_text('schema: 1\ncheckpoints:\n- name: "\\N"\n', encoding="utf-8")
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    assert len(str(caught.value).splitlines()) == 1
