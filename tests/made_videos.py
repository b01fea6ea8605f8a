"""Real video files of many kinds, made on the spot."""

from itertools import chain, repeat

import av
import numpy as np
import torch
from conftest import moving_square

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
