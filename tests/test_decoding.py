"""Frames by number: what sequential decoding yields, from sound, odd, damaged and hostile files."""

import csv
import subprocess
import sys
import warnings
from itertools import chain, repeat
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from conftest import moving_square, shared_path

from videozoo.clip_spec import ClipSpec, Views
from videozoo.data.decoding import VideoReader, VideoWarning, iterate, read_frames
from videozoo.data.packet_index import PacketIndex
from videozoo.data.reading import read_views
from videozoo.errors import VideoError

COUNT = 50
X264 = {"crf": "18", "g": "12", "bf": "3", "b_strategy": "0", "x264-params": "b-pyramid=normal:scenecut=0"}


def encode(
    path,
    codec="libx264",
    options=X264,
    *,
    frames=None,
    fps=25,
    pix_fmt="yuv420p",
    rotation=0,
    repeats=1,
    container_options=None,
):
    """A real file from frames (T, H, W, 3)."""
    frames = moving_square(COUNT, 48, 64) if frames is None else frames
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=fps, options=dict(options or {}))
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], pix_fmt
        if rotation:
            stream.set_display_rotation(rotation)
        for frame in chain.from_iterable(repeat(frames, repeats)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    return path


def decode_in_order(path):
    """Every frame as plain PyAV gives it, one after the other."""
    with av.open(str(path)) as container:
        frames = [frame for frame in container.decode(container.streams.best("video"))]
        pictures = [np.rot90(f.to_ndarray(format="rgb24"), f.rotation // 90) for f in frames]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


MADE = {  # name: codec, options, further settings, whether its packets prove which frames they hold
    "b_pyramid.mp4": ("libx264", X264, {}, True),
    "b_pyramid.mkv": ("libx264", X264, {}, True),
    "no_b.mp4": ("libx264", {"bf": "0", "g": "10"}, {}, True),
    "open_gop.mp4": ("libx264", {**X264, "flags": "-cgop", "x264-params": "open-gop=1:keyint=10:scenecut=0"}, {}, True),
    "slices.mp4": ("libx264", {**X264, "slices": "4"}, {}, True),
    "odd_444.mp4": ("libx264", X264, {"pix_fmt": "yuv444p", "frames": moving_square(20, 51, 67)}, True),
    "interlaced.mp4": ("libx264", {"flags": "+ilme+ildct", "g": "10"}, {}, False),
    "stream.ts": ("libx264", X264, {}, False),
    "h264.avi": ("libx264", X264, {}, False),
    "predicted.avi": ("mpeg4", {"g": "8"}, {}, True),
    "bidirectional.avi": ("mpeg4", {"g": "9", "bf": "2"}, {}, False),
    "motion.avi": ("mjpeg", {}, {"pix_fmt": "yuvj420p"}, False),
    "mpeg1.mpg": ("mpeg1video", {"g": "9", "bf": "2"}, {}, False),
    "hevc.mp4": ("libx265", {"x265-params": "log-level=none"}, {}, False),
    "one.mp4": ("libx264", X264, {"frames": moving_square(1, 48, 64)}, True),
    "turned.mp4": ("libx264", X264, {"rotation": 90, "frames": moving_square(9, 48, 64)}, True),
}


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


def broken_files(folder):
    """File name, contents, and what the error must say."""
    late = encode(folder / "late.mp4")
    sound = av.open(str(folder / "sound.mp4"), "w")
    with sound:
        stream = sound.add_stream("aac", rate=16000)
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        samples.sample_rate = 16000
        sound.mux(stream.encode(samples))
        sound.mux(stream.encode())
    return {
        "empty.mp4": (b"", "the file is empty"),
        "text.mp4": (b"not found, sorry\n" * 4, "not a video"),
        "page.avi": (b"<html><body>404</body></html>", "not a video"),
        "cut.mp4": (late.read_bytes()[: late.stat().st_size // 2], "not a video, or cut short"),
        "audio.mp4": ((folder / "sound.mp4").read_bytes(), "no video stream in it"),
    }


def test_files_without_a_frame(tmp_path):
    for name, (contents, says) in broken_files(tmp_path).items():
        (tmp_path / name).write_bytes(contents)
        with pytest.raises(VideoError, match=f"{name}: {says}") as caught, VideoReader(tmp_path / name) as reader:
            reader.frames([0])
        assert "\n" not in str(caught.value)
    with pytest.raises(VideoError, match=r"absent\.mp4: no such file"):
        VideoReader(tmp_path / "absent.mp4")
    with pytest.raises(VideoError, match=tmp_path.name):
        VideoReader(tmp_path)


def frames_with_bad_packets_left_out(path):
    """What plain PyAV decodes where packets that raise are passed over."""
    frames = []
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        stream.codec_context.thread_count, stream.codec_context.thread_type = 1, "NONE"  # it paints over damage alike
        packets = container.demux(stream)
        while True:
            try:
                frames += [frame.to_ndarray(format="rgb24") for frame in next(packets).decode()]
            except StopIteration:
                return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)
            except av.FFmpegError:
                continue


@pytest.mark.parametrize("damage", ["cut", "noise"])
@pytest.mark.parametrize("name", ["front.mp4", "predicted.avi"])
def test_damaged_files_give_what_decodes(tmp_path, made, name, damage):
    if name == "front.mp4":
        data = bytearray(encode(made / name, container_options={"movflags": "faststart"}).read_bytes())
    else:
        data = bytearray((made / name).read_bytes())
    if damage == "cut":
        del data[len(data) * 6 // 10 :]
    else:
        middle = len(data) // 2
        data[middle : middle + 600] = np.random.default_rng(1).bytes(600)
    path = tmp_path / name
    path.write_bytes(data)
    expected = frames_with_bad_packets_left_out(path)
    with warnings.catch_warnings(record=True) as caught, VideoReader(path) as reader:
        warnings.simplefilter("always", VideoWarning)
        assert reader.frame_count == len(expected)
        assert torch.equal(reader.frames(range(len(expected))), expected)
    assert [str(warning.message) for warning in caught] == [f"{path}: {problem}" for problem in reader.problems]
    assert reader.problems or damage == "noise"  # which a decoder may paint over without a word


def test_one_flipped_bit_changes_no_frame_number(tmp_path, made):
    """Where lengths, types and numbers of pictures are damaged, frames are still those of sequential decoding."""
    sound = (made / "b_pyramid.mp4").read_bytes()
    with av.open(str(made / "b_pyramid.mp4")) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    draws = np.random.default_rng(2)
    path = tmp_path / "flipped.mp4"
    for _ in range(40):
        offset, size = packets[draws.integers(1, len(packets))]
        place = offset + int(draws.integers(min(size, 9)))
        data = bytearray(sound)
        data[place] ^= 1 << int(draws.integers(8))
        path.write_bytes(data)
        expected = frames_with_bad_packets_left_out(path)
        with warnings.catch_warnings(), VideoReader(path) as reader:
            warnings.simplefilter("ignore", VideoWarning)
            wanted = [0, len(expected) // 2, len(expected) - 1]
            try:
                frames = reader.frames(wanted)
            except VideoError:  # what the headers promised proved wrong while reading
                frames = reader.frames(wanted)
            assert reader.frame_count == len(expected)
            assert torch.equal(frames, expected[wanted])


def test_views_of_a_video_whose_damage_shows_late(made, monkeypatch):
    """When fewer frames decode than the packets promised, the views come from those that do."""
    with VideoReader(made / "no_b.mp4") as reader:
        fewer = reader.frames(range(20))
    plain = VideoReader.frames

    def frames(self, indices, *, change=None):
        if max(indices) >= 20:
            self._count = 20
            raise VideoError(f"{self.path}: frame {max(indices)} was asked for, 20 frames decode")
        return plain(self, indices, change=change)

    monkeypatch.setattr(VideoReader, "frames", frames)
    spec = ClipSpec(frames=4, size=48, resize=48, mean=(0.0,) * 3, std=(1.0,) * 3)
    clip = read_views(made / "no_b.mp4", spec, Views())[0, ..., :, :]
    assert torch.allclose(clip * 255, fewer[[2, 7, 12, 17], ..., 8:56].float(), atol=0.01)


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
