"""From raw video files to labelled answers: read, average over views, name the classes."""

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from os import PathLike, fspath
from typing import Any, Literal, overload

import torch
from torch import Tensor, nn

from videozoo.clip_spec import Views
from videozoo.data.reading import read_views
from videozoo.errors import VideozooError
from videozoo.inference.optimize import optimize_for_inference, to_channels_last
from videozoo.inference.views import parse_views
from videozoo.training.recognizer import ActionRecognizer, average_views

Precision = Literal["float32", "bf16"]
Path = str | PathLike[str]


@dataclass(frozen=True)
class Prediction:
    """The answer to one video.

    ``top`` holds (label, probability), best first; ``scores`` (K,) are before softmax, averaged over the views;
    ``milliseconds`` counts reading and network together.
    """

    file: str
    top: tuple[tuple[str, float], ...]
    scores: Tensor
    milliseconds: float

    @property
    def label(self) -> str:
        """The best label."""
        return self.top[0][0]

    @property
    def probability(self) -> float:
        """The probability of the best label, 0..1."""
        return self.top[0][1]

    def __str__(self) -> str:
        answers = ", ".join(f"{label} {probability:.3f}" for label, probability in self.top)
        return f"{self.file}: {answers}"


@dataclass(frozen=True)
class Failure:
    """A video that could not be answered, and why in one line."""

    file: str
    error: str


@overload
def predict(model: ActionRecognizer, video: Path, **options: Any) -> Prediction: ...
@overload
def predict(model: ActionRecognizer, video: Sequence[Path], **options: Any) -> list[Prediction]: ...
def predict(model: ActionRecognizer, video: Any, **options: Any) -> Prediction | list[Prediction]:
    """Label one video file, or several; the options are those of predict_many.

    Raises:
        VideozooError: for the first file that is no readable video.
    """
    single = isinstance(video, str | PathLike)
    answers = []
    for answer in predict_many(model, [video] if single else video, **options):
        if isinstance(answer, Failure):
            raise VideozooError(answer.error)
        answers.append(answer)
    return answers[0] if single else answers


def predict_many(
    model: ActionRecognizer,
    videos: Iterable[Path],
    *,
    topk: int = 5,
    views: str | Views = "1x1",
    precision: Precision = "float32",
    batch_size: int = 8,
) -> Iterator[Prediction | Failure]:
    """Answer videos in the order given; one that cannot be read becomes a Failure and the rest go on.

    ``batch_size`` clips pass the network at once, whatever the number of views. The next videos are read in a thread
    of their own while the network works on the present ones (PyAV decodes outside Python's lock).
    """
    protocol = parse_views(views, model.clip_spec) if isinstance(views, str) else views
    videos_at_once = max(1, batch_size // (protocol.clips * protocol.crops))
    pending = iter(videos)
    network = optimize_for_inference(model.network)
    with ThreadPoolExecutor(max_workers=1) as reader:
        reads = [reader.submit(_read, model, video, protocol) for video in islice(pending, videos_at_once)]
        while reads:
            upcoming = [reader.submit(_read, model, video, protocol) for video in islice(pending, videos_at_once)]
            yield from _answer_batch(model, network, reads, protocol, topk, precision, batch_size)
            reads = upcoming


@dataclass(frozen=True)
class _Read:
    """One video as views (V, T, C, H, W), or the error in their place, and how long reading took."""

    file: str
    views: Tensor | VideozooError
    seconds: float


def _read(model: ActionRecognizer, video: Path, views: Views) -> _Read:
    start = time.perf_counter()
    tensor: Tensor | VideozooError
    try:
        tensor = read_views(fspath(video), model.clip_spec, views)
    except VideozooError as error:
        tensor = error
    return _Read(fspath(video), tensor, time.perf_counter() - start)


def _answer_batch(
    model: ActionRecognizer,
    network: nn.Module,
    reads: Sequence["Future[_Read]"],
    views: Views,
    topk: int,
    precision: Precision,
    batch_size: int,
) -> Iterator[Prediction | Failure]:
    """Answers to the videos of one batch, those of equal clip shape passed through the network together."""
    read = [future.result() for future in reads]
    start = time.perf_counter()
    scores: dict[int, Tensor] = {}
    shapes = {r.views.shape for r in read if isinstance(r.views, Tensor)}
    for shape in shapes:
        chosen = [i for i, r in enumerate(read) if isinstance(r.views, Tensor) and r.views.shape == shape]
        stacked = torch.stack([_views_of(read[i]) for i in chosen])
        scores.update(zip(chosen, score_views(network, stacked, views, precision, batch_size), strict=True))
    network_seconds = (time.perf_counter() - start) / max(len(scores), 1)
    for i, r in enumerate(read):
        if isinstance(r.views, Tensor):
            yield _label(model, r.file, scores[i], topk, 1000 * (r.seconds + network_seconds))
        else:
            yield Failure(r.file, str(r.views))


def _views_of(read: _Read) -> Tensor:
    assert isinstance(read.views, Tensor)
    return read.views


def score_views(network: nn.Module, stacked: Tensor, views: Views, precision: Precision, batch_size: int) -> Tensor:
    """Scores of videos given as views, on the network's device, ``batch_size`` clips at a time, answered on the CPU.

    Shape: (B, V, T, C, H, W) -> (B, K).
    """
    device = next(network.parameters()).device
    autocast: AbstractContextManager[Any] = (
        torch.autocast(device.type, dtype=torch.bfloat16) if precision == "bf16" else nullcontext()
    )
    with torch.inference_mode(), autocast:
        chunks = stacked.flatten(0, 1).split(batch_size)
        scores = torch.cat([network(to_channels_last(chunk.to(device))).float().cpu() for chunk in chunks])
    return average_views(scores.unflatten(0, stacked.shape[:2]), views.average)


def _label(model: ActionRecognizer, file: str, scores: Tensor, topk: int, milliseconds: float) -> Prediction:
    return Prediction(file, best_labels(model, scores, topk), scores, milliseconds)


def best_labels(model: ActionRecognizer, scores: Tensor, topk: int) -> tuple[tuple[str, float], ...]:
    """The ``topk`` best (label, probability) of scores (K,) before softmax."""
    best = probabilities(model, scores).topk(min(topk, len(scores)))
    return tuple((model.labels[k], p) for k, p in zip(best.indices.tolist(), best.values.tolist(), strict=True))


def probabilities(model: ActionRecognizer, scores: Tensor) -> Tensor:
    """Of each class, 0..1. Shape: (..., K) -> same."""
    return scores.sigmoid() if model.multilabel else scores.softmax(dim=-1)
