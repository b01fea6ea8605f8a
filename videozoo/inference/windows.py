"""Answers to every window of a long video, which is decoded once and never held."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from os import PathLike, fspath

import torch
from torch import Tensor

from videozoo.clip_spec import ClipSpec, Views
from videozoo.data.crops import centre_place
from videozoo.data.decoding import VideoReader
from videozoo.data.sampling import sample_indices
from videozoo.data.time_windows import Window, check_durations, cut_windows, steady_times
from videozoo.data.transforms import resize_short_side, test_short_side, views
from videozoo.inference.optimize import optimize_for_inference
from videozoo.inference.predict import Precision, best_labels, score_views
from videozoo.training.recognizer import ActionRecognizer


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
) -> Iterator[WindowPrediction]:
    """Label windows of ``window`` seconds, one every ``stride``, in one pass through a video of any length.

    A window is answered as a file would be that holds just its frames, with one centre view. What is left at the end
    is answered as a shorter window where it is half a window long, or the only one. Memory grows with the window, not
    with the video.

    Raises:
        VideoError: when the source is no readable video.
        SettingError: for durations that are not positive.
    """
    check_durations(window, stride)
    network = optimize_for_inference(model.network)
    spec = model.clip_spec
    view = Views(average=spec.views.average)
    batch: list[tuple[float, float, Tensor]] = []

    def answers() -> Iterator[WindowPrediction]:
        clips = torch.stack([clip for _, _, clip in batch])
        scores = score_views(network, clips, view, precision, batch_size)
        for (start, end, _), score in zip(batch, scores, strict=True):
            yield WindowPrediction(start, end, best_labels(model, score, topk), score)

    with VideoReader(fspath(source)) as reader:
        frames = reader.timed(change=partial(centre_square, spec=spec))
        for cut in cut_windows(steady_times(frames, reader.fps), window, stride, fps=reader.fps):
            batch.append((cut.start, cut.end, window_clip(cut, spec, reader.fps)))
            if len(batch) == batch_size:
                yield from answers()
                batch = []
        if batch:
            yield from answers()


def centre_square(frame: Tensor, spec: ClipSpec) -> Tensor:
    """What one centre view shows of a frame. Shape: uint8 (C, H, W) -> (C, size, size)."""
    scaled = resize_short_side(frame, test_short_side(spec, Views()), antialias=spec.antialias)
    x, y = centre_place(scaled.shape[-1], scaled.shape[-2], spec.size)
    return scaled[..., y : y + spec.size, x : x + spec.size].clone()


def window_clip(window: Window[Tensor], spec: ClipSpec, fps: float) -> Tensor:
    """The clip that the ordinary sampler takes from a video of just these frames. Shape: (1, T, C, size, size)."""
    (chosen,) = sample_indices(spec, len(window.frames), window.rate(fps))
    frames = torch.stack([window.frames[index] for index in chosen])
    return views(frames[None], spec, Views(resize=spec.size))
