"""What remains of damaged files, and why a hopeless one is refused."""

import warnings

import av
import numpy as np
import pytest
import torch
from made_videos import MADE, encode

from videozoo.clip_spec import ClipSpec, Views
from videozoo.data.decoding import VideoReader, VideoWarning
from videozoo.data.reading import read_views
from videozoo.errors import VideoError


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Some sound files by name."""
    folder = tmp_path_factory.mktemp("sound")
    return {
        name: encode(folder / name, *MADE[name][:2], **MADE[name][2])
        for name in ("b_pyramid.mp4", "no_b.mp4", "predicted.avi")
    }


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
        data = bytearray(encode(tmp_path / name, container_options={"movflags": "faststart"}).read_bytes())
    else:
        data = bytearray(made[name].read_bytes())
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
    sound = (made["b_pyramid.mp4"]).read_bytes()
    with av.open(str(made["b_pyramid.mp4"])) as container:
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
    with VideoReader(made["no_b.mp4"]) as reader:
        fewer = reader.frames(range(20))
    plain = VideoReader.frames

    def frames(self, indices, *, change=None):
        if max(indices) >= 20:
            self._count = 20
            raise VideoError(f"{self.path}: frame {max(indices)} was asked for, 20 frames decode")
        return plain(self, indices, change=change)

    monkeypatch.setattr(VideoReader, "frames", frames)
    spec = ClipSpec(frames=4, size=48, resize=48, mean=(0.0,) * 3, std=(1.0,) * 3)
    clip = read_views(made["no_b.mp4"], spec, Views())[0, ..., :, :]
    assert torch.allclose(clip * 255, fewer[[2, 7, 12, 17], ..., 8:56].float(), atol=0.01)
