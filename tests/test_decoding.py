"""Frames by number: what sequential decoding yields, from sound, odd and damaged files made on the spot."""

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from conftest import moving_square
from made_videos import MADE, decode_in_order, encode

from videozoo.data.decoding import VideoReader, iterate, read_frames
from videozoo.data.packet_index import PacketIndex
from videozoo.errors import VideoError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    for name, (codec, options, settings, _) in MADE.items():
        encode(folder / name, codec, options, **settings)
    return folder


@pytest.mark.parametrize("name", MADE)
def test_frames_are_those_of_sequential_decoding(made, name):
    expected = decode_in_order(made / name)
    count = len(expected)
    draws = np.random.default_rng(0)
    wanted = [[0], [count - 1], [count // 2, 0, count // 2], list(range(count))]
    wanted += [sorted(draws.integers(count, size=8).tolist()) for _ in range(6)]
    with VideoReader(made / name) as reader:
        assert reader.frame_count == count
        assert (reader.height, reader.width) == tuple(expected.shape[-2:])
        assert reader.fps == pytest.approx(25)
        for indices in wanted:
            assert torch.equal(reader.frames(indices), expected[indices])
        assert torch.equal(torch.cat(list(reader.iterate(7))), expected)
        assert torch.equal(reader.frames([count - 1]), expected[-1:])  # also after having read to the end
        assert not reader.problems
    assert torch.equal(read_frames(made / name, [count // 2]), expected[[count // 2]])
    assert [len(chunk) for chunk in iterate(made / name, 16)][:-1] == [16] * ((count - 1) // 16)


@pytest.mark.parametrize("name", MADE)
def test_packets_are_used_where_they_prove_it(made, name):
    with VideoReader(made / name) as reader:
        index = reader._packets()
        assert (index is not None) == MADE[name][-1]
        if index is not None:
            assert sorted(index.frame.tolist()) == list(range(reader.frame_count))


def test_only_needed_packets_are_decoded():
    # Decoded: I0 P3 b1 b2 | I4 P7 b5 b6, the groups closed.
    frame = np.array([0, 3, 1, 2, 4, 7, 5, 6])
    entry = np.array([1, 0, 0, 0, 1, 0, 0, 0], bool)
    disposable = np.array([0, 0, 1, 1, 0, 0, 1, 1], bool)
    index = PacketIndex(frame, frame * 10, np.arange(8) * 100, entry, disposable)

    def plan(*frames):
        return [(s.entry, sorted(s.packets), s.times) for s in index.stretches(set(frames))]

    assert plan(0) == [(0, [0], [0])]
    assert plan(2) == [(0, [0, 100, 300], [0, 20, 30])]
    assert plan(6) == [(40, [400, 500, 700], [40, 60, 70])]
    assert plan(0, 5) == [(0, [0], [0]), (40, [400, 500, 600], [40, 50, 70])]


def test_a_decoder_reads_no_further_than_the_last_wanted_frame(made, monkeypatch):
    with VideoReader(made / "bidirectional.avi") as reader:
        decoded = []
        plain = VideoReader._decode_all

        def counted(self):
            for frame in plain(self):
                decoded.append(frame)
                yield frame

        monkeypatch.setattr(VideoReader, "_decode_all", counted)
        reader.frames([3, 1])
        assert len(decoded) == 4


def test_several_threads_give_the_same(made):
    for name in ("b_pyramid.mp4", "stream.ts"):
        with VideoReader(made / name, threads=0) as reader:
            assert torch.equal(reader.frames([1, 30, 49]), decode_in_order(made / name)[[1, 30, 49]])


def test_change_is_applied_to_every_frame(made):
    with VideoReader(made / "b_pyramid.mp4") as reader:
        small = reader.frames([4, 0, 4], change=lambda picture: picture[:, ::2, ::2])
        assert torch.equal(small, reader.frames([4, 0, 4])[..., ::2, ::2])


def test_frames_that_do_not_exist(made):
    for name in ("b_pyramid.mp4", "stream.ts"):
        with VideoReader(made / name) as reader:
            with pytest.raises(VideoError, match=rf"{name}: frame 50 was asked for, 50 frames decode"):
                reader.frames([0, 50])
            with pytest.raises(VideoError, match="frame -1 was asked for"):
                reader.frames([-1])
            with pytest.raises(VideoError, match="no frames were asked for"):
                reader.frames([])
            assert reader.frames([49]).shape == (1, 3, 48, 64)


def test_the_best_stream_is_read_not_the_first(tmp_path):
    with av.open(str(tmp_path / "two.mkv"), "w") as container:
        streams = [container.add_stream("libx264", rate=25) for _ in range(2)]
        sizes = [(32, 48), (96, 128)]
        for stream, (height, width) in zip(streams, sizes, strict=True):
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
            stream.disposition = av.stream.Disposition.default if height == 96 else av.stream.Disposition(0)
        pictures = [moving_square(20, *size) for size in sizes]
        for i in range(20):
            for stream, frames in zip(streams, pictures, strict=True):
                picture = np.ascontiguousarray(frames[i])
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        for stream in streams:
            container.mux(stream.encode())
    with VideoReader(tmp_path / "two.mkv") as reader:
        assert (reader.frame_count, reader.height, reader.width) == (20, 96, 128)


def test_pictures_that_change_their_size(tmp_path):
    parts = [encode(tmp_path / f"{side}.ts", frames=moving_square(10, side, side)) for side in (64, 96)]
    both = tmp_path / "both.ts"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    with VideoReader(both) as reader:
        assert reader.frame_count > 15
        assert reader.frames([0, 14]).shape == (2, 3, 64, 64)


MEASURE = """
import sys
from videozoo.data.decoding import VideoReader
with VideoReader(sys.argv[1]) as reader:
    count = reader.frame_count
    reader.frames([i * count // 8 for i in range(8)])
    if sys.argv[2] == "all":
        for chunk in reader.iterate(32):
            pass
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(int(status["VmHWM"].split()[0]) // 1024)  # unlike ru_maxrss, not that of the process that started this one
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["long.mp4", "long.ts"])
def test_memory_is_flat_in_the_length_of_a_video(tmp_path, name):
    if not Path("/proc/self/status").exists():
        pytest.skip("peak memory is read from /proc")
    frames = moving_square(60, 120, 160)
    megabytes = []
    for repeats in (4, 250):  # 10 seconds, 10 minutes
        path = tmp_path / f"{repeats}_{name}"
        encode(path, options={"preset": "ultrafast", "g": "50"}, frames=frames, repeats=repeats)
        command = [sys.executable, "-c", MEASURE, str(path), "all"]
        megabytes.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout))
    assert megabytes[1] - megabytes[0] < 100
