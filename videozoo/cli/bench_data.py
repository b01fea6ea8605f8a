"""Clips per second of training data: opening, decoding, transform and collating apart, then the loader's with workers.

Beside the loader's rate stands that of frames alone, without transform, and decord's of the same frames where it is
installed. Rounds of all candidates are interleaved, so that a change of the machine's speed hits all alike. Example:
`videozoo bench data my_videos/`, `videozoo bench data /data/UCF101 --dataset ucf101 --frames 16`.
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from videozoo.errors import SettingError, UnknownNameError

if TYPE_CHECKING:
    from torch import Tensor

    from videozoo.data.dataset import VideoDataset

STEPS = ("open", "decode", "transform", "collate")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo bench data`."""
    parser.add_argument("root", help="folder of the data set")
    parser.add_argument("--dataset", default="video_folder", help="video_folder, ucf101, hmdb51, kinetics, ...")
    parser.add_argument("--frames", type=int, default=8, help="frames of a clip")
    parser.add_argument("--size", type=int, default=224, help="side of a clip in pixels")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--videos", type=int, default=64, help="at most so many videos are read a round")
    parser.add_argument("--workers", type=int, nargs="+", default=(0, 1, 2), metavar="N")
    parser.add_argument("--rounds", type=int, default=3)


def run(arguments: argparse.Namespace) -> int:
    """Print the two tables."""
    import torch
    from rich.console import Console
    from rich.table import Table

    if min(arguments.videos, arguments.rounds, arguments.batch_size) < 1 or min(arguments.workers) < 0:
        raise SettingError("videos, rounds and batch size must be at least 1, workers at least 0")
    torch.set_num_threads(1)  # as in a loader's worker
    dataset = _dataset(arguments)
    places = [(0, index) for index in range(min(len(dataset), arguments.videos))]
    console = Console(file=sys.stdout, soft_wrap=True)
    console.print(f"{len(places)} videos, clips of {arguments.frames} frames, {arguments.size} pixels")

    seconds, read = split_seconds(dataset, places, arguments.batch_size)
    table = Table("one process", "ms a clip", "clips/s", box=None)
    for step, spent in [*seconds.items(), ("together", sum(seconds.values()))]:
        table.add_row(step, f"{1000 * spent / read:.1f}", f"{read / spent:.1f}")
    console.print(table)
    console.print(_loader_table(dataset, places, arguments))
    return 0


def _dataset(arguments: argparse.Namespace) -> "VideoDataset":
    from videozoo.clip_spec import ClipSpec
    from videozoo.data.datamodules import DATA_MODULES

    if arguments.dataset not in DATA_MODULES:
        raise UnknownNameError("data set", arguments.dataset, DATA_MODULES)
    spec = ClipSpec(arguments.frames, arguments.size, round(arguments.size * 256 / 224))
    return DATA_MODULES[arguments.dataset](arguments.root, clip_spec=spec).dataset("train")


def split_seconds(
    dataset: "VideoDataset", places: list[tuple[int, int]], batch_size: int
) -> tuple[dict[str, float], int]:
    """Seconds that training clips spend in each step, and how many clips could be read."""
    import torch

    from videozoo.data.dataset import collate, sample_generator
    from videozoo.data.sampling import sample_indices
    from videozoo.errors import VideoError

    seconds = dict.fromkeys(STEPS, 0.0)
    samples: list[dict[str, Tensor]] = []
    for epoch, index in places:
        generator = sample_generator(dataset.seed, epoch, index)
        marks = [time.perf_counter()]
        try:
            with dataset.opener(dataset.annotations.path(index)) as source:
                chosen = sample_indices(dataset.spec, source.frame_count, source.fps, generator=generator)[0]
                marks.append(time.perf_counter())
                frames = source.frames(chosen)
        except VideoError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        marks.append(time.perf_counter())
        clip, _ = dataset.transform(frames, dataset.spec, generator)
        marks.append(time.perf_counter())
        for step, start, end in zip(STEPS, marks, marks[1:], strict=False):
            seconds[step] += end - start
        label = dataset.annotations.labels[index]
        samples.append({"clip": clip, "label": label, "index": torch.tensor(index), "failed": torch.tensor(-1)})
        if len(samples) % batch_size == 0 or index == places[-1][1]:
            start = time.perf_counter()
            collate(samples[-batch_size:])
            seconds["collate"] += time.perf_counter() - start
            samples = [{}] * len(samples)  # the clips are not kept
    if not samples:
        raise SettingError(f"{dataset.annotations.root}: none of the {len(places)} videos can be read")
    return seconds, len(samples)


def _loader_table(dataset: "VideoDataset", places: list[tuple[int, int]], arguments: argparse.Namespace) -> Any:
    from importlib.util import find_spec

    from rich.table import Table

    from videozoo.evaluation.benchmark import compare

    readers: dict[str, Callable[[tuple[int, int]], Any]] = {
        "clips": dataset.__getitem__,
        "frames alone": partial(_frames, dataset),
    }
    if find_spec("decord") is not None:
        readers["decord, frames alone"] = partial(_decord_frames, dataset)
    table = Table("loader, clips/s", *(f"{workers} workers" for workers in arguments.workers), box=None)
    columns = [
        compare(
            {name: partial(_drain, reader, places, workers, arguments.batch_size) for name, reader in readers.items()},
            rounds=arguments.rounds,
        )
        for workers in arguments.workers
    ]
    for row in zip(*columns, strict=True):
        table.add_row(row[0].name, *(f"{len(places) / timing.median:.1f}" for timing in row))
    return table


def _drain(reader: Callable[[tuple[int, int]], Any], places: list[tuple[int, int]], workers: int, size: int) -> None:
    """Read everything once through a loader."""
    from torch.utils.data import DataLoader

    reads: Any = _Reads(reader, places)
    for _ in DataLoader(reads, batch_size=size, num_workers=workers, collate_fn=_as_they_are):
        pass


class _Reads:
    """A data set of what a function reads at each place."""

    def __init__(self, reader: Callable[[tuple[int, int]], Any], places: list[tuple[int, int]]) -> None:
        self.reader = reader
        self.places = places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Any:
        return self.reader(self.places[index])


def _as_they_are(samples: list[Any]) -> list[Any]:
    return samples


def _chosen(dataset: "VideoDataset", place: tuple[int, int], count: int, fps: float) -> list[int]:
    from videozoo.data.dataset import sample_generator
    from videozoo.data.sampling import sample_indices

    return sample_indices(dataset.spec, count, fps, generator=sample_generator(dataset.seed, *place))[0]


def _frames(dataset: "VideoDataset", place: tuple[int, int]) -> "Tensor | None":
    from videozoo.errors import VideoError

    try:
        with dataset.opener(dataset.annotations.path(place[1])) as source:
            return source.frames(_chosen(dataset, place, source.frame_count, source.fps))
    except VideoError:
        return None


def _decord_frames(dataset: "VideoDataset", place: tuple[int, int]) -> "Tensor | None":
    import decord
    import torch

    try:
        reader = decord.VideoReader(str(dataset.annotations.path(place[1])), num_threads=1)
        chosen = _chosen(dataset, place, len(reader), reader.get_avg_fps())
        return torch.from_numpy(reader.get_batch(chosen).asnumpy())
    except (decord.DECORDError, RuntimeError, IndexError):
        return None
