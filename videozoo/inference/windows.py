"""Answers to every window of a long video, which is decoded once and never held."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from os import PathLike, fspath

import torch
from torch import Tensor

from videozoo.clip_spec import ClipSpec, Views
from videozoo.data.container import Opening
from videozoo.data.crops import centre_place
from videozoo.data.held_pictures import HeldPictures, Picture
from videozoo.data.memory import available_memory
from videozoo.data.sampling import sample_indices
from videozoo.data.stream import Stream
from videozoo.data.time_windows import Window, check_durations, cut_windows
from videozoo.data.transforms import resize_short_side, test_short_side, views
from videozoo.errors import SettingError
from videozoo.inference.optimize import optimize_for_inference
from videozoo.inference.predict import Precision, best_labels, score_views
from videozoo.inference.read_ahead import ReadAhead
from videozoo.training.recognizer import ActionRecognizer

HIGHEST_FPS = 240.0  # of a camera; live sources may state nonsense


@dataclass(frozen=True)
class WindowPrediction:
    """The answer to one window of a video, ``start`` to ``end`` in seconds from its first frame.

    ``top`` holds (label, probability), best first; ``scores`` (K,) are before softmax.
    """

    start: float
    end: float
    top: tuple[tuple[str, float], ...]
    scores: Tensor


def predict_windows(
    model: ActionRecognizer,
    source: str | PathLike[str],
    *,
    window: float,
    stride: float,
    topk: int = 5,
    precision: Precision = "float32",
    batch_size: int = 8,
    opening: Opening | None = None,
    reconnect: int = 3,
) -> Iterator[WindowPrediction]:
    """Label windows of ``window`` seconds, one every ``stride``, in one pass through a video of any length.

    A window is answered as a file would be that holds just its frames, with one centre view. What is left at the end
    is answered as a shorter window where it is half a window long, or the only one. Memory grows with the window, not
    with the video. The source is a file, an address (rtsp, http, udp) or a device, with ``opening`` where FFmpeg needs
    to be told; windows of a live one are answered as soon as they are complete, and none spans a break.

    Raises:
        VideoError: when the source is no readable video; after the answers so far where it broke off for good.
        SettingError: for durations that are not positive, and a model that reads stored flow.
    """
    check_durations(window, stride)
    if model.clip_spec.modality == "flow":
        raise SettingError("this model reads stored flow, not a video's frames")
    network = optimize_for_inference(model.network)
    average = Views(average=model.clip_spec.views.average)
    stream = Stream(fspath(source), opening=opening, reconnect=reconnect)
    clips = _window_clips(stream, model.clip_spec, window, stride)
    with ReadAhead(clips, batch_size, stream.stopped) as ahead:
        for batch in ahead.batches(batch_size, full=not stream.live):
            stacked = torch.stack([clip for _, _, clip in batch])
            scores = score_views(network, stacked, average, precision, batch_size)
            for (start, end, _), score in zip(batch, scores, strict=True):
                yield WindowPrediction(start, end, best_labels(model, score, topk), score)


def _window_clips(
    stream: Stream, spec: ClipSpec, window: float, stride: float
) -> Iterator[tuple[float, float, Tensor]]:
    """Start, end and clip (1, T, C, size, size) of every window of a stream, which is closed at the end."""
    with stream:
        _check_memory(window * min(stream.fps, HIGHEST_FPS), spec)
        held = HeldPictures(partial(centre_square, spec=spec))
        for begin, frames in stream.runs():
            pictures = ((time, held.add(frame)) for time, frame in frames)
            for cut in cut_windows(pictures, window, stride, fps=stream.fps):
                yield begin + cut.start, begin + cut.end, window_clip(cut, spec, stream.fps)


def _check_memory(frames: float, spec: ClipSpec) -> None:
    """Refuse a window whose frames do not fit into half the free memory."""
    needed, free = frames * 3 * spec.size**2, available_memory()
    if needed > free / 2:
        memory = f"{needed / 1e9:.1f} GB, more than half of the {free / 1e9:.1f} GB that are free"
        raise SettingError(f"a window of {frames:.0f} frames takes {memory}")


def centre_square(frame: Tensor, spec: ClipSpec) -> Tensor:
    """What one centre view shows of a frame. Shape: uint8 (C, H, W) -> (C, size, size)."""
    scaled = resize_short_side(frame, test_short_side(spec, Views()), antialias=spec.antialias)
    x, y = centre_place(scaled.shape[-1], scaled.shape[-2], spec.size)
    return scaled[..., y : y + spec.size, x : x + spec.size].clone()


def window_clip(window: Window[Picture], spec: ClipSpec, fps: float) -> Tensor:
    """The clip that the ordinary sampler takes from a video of just these frames. Shape: (1, T, C, size, size)."""
    (chosen,) = sample_indices(spec, len(window.frames), window.rate(fps))
    frames = torch.stack([window.frames[index].tensor() for index in chosen])
    return views(frames[None], spec, Views(resize=spec.size))
