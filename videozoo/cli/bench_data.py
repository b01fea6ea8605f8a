"""Clips per second of training data: opening, decoding, transform and collating apart, then the loader's with workers.

Beside the loader's rate stands that of frames alone, without transform, and decord's of the same frames where it is
installed, with the ratio to it: one decoding thread on either side, the same frames at the file's size. Rounds of all
candidates are interleaved, so that a change of the machine's speed hits all alike. Example:
`videozoo bench data my_videos/`, `videozoo bench data /data/UCF101 --dataset ucf101 --frames 16`.
"""

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from videozoo.cli.data_sets import NAMES, add_setting_arguments, create_data
from videozoo.errors import SettingError

if TYPE_CHECKING:
    from torch import Tensor

    from videozoo.data.dataset import VideoDataset

STEPS = ("open", "decode", "transform", "collate")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo bench data`."""
    parser.add_argument("root", help="folder of the data set")
    parser.add_argument("--dataset", default="video_folder", help=NAMES)
    add_setting_arguments(parser)
    parser.add_argument("--frames", type=int, default=8, help="frames of a clip")
    parser.add_argument("--size", type=int, default=224, help="side of a clip in pixels")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--clips", type=int, default=64, help="clips of a round; few videos are read several times")
    parser.add_argument("--workers", type=int, nargs="+", default=(0, 1, 2), metavar="N")
    parser.add_argument("--rounds", type=int, default=3)


def run(arguments: argparse.Namespace) -> int:
    """Print the two tables."""
    import torch
    from rich.console import Console
    from rich.table import Table

    if min(arguments.clips, arguments.rounds, arguments.batch_size) < 1 or min(arguments.workers) < 0:
        raise SettingError("clips, rounds and batch size must be at least 1, workers at least 0")
    torch.set_num_threads(1)  # as in a loader's worker
    dataset, said = _first_batch(arguments)
    places = [divmod(number, len(dataset)) for number in range(arguments.clips)]
    console = Console(file=sys.stdout, soft_wrap=True)
    console.print(said)
    console.print(f"{len(places)} clips of {arguments.frames} frames, {arguments.size} pixels")

    seconds, read = split_seconds(dataset, places, arguments.batch_size)
    table = Table("one process", "ms a clip", "clips/s", box=None)
    for step, spent in [*seconds.items(), ("together", sum(seconds.values()))]:
        table.add_row(step, f"{1000 * spent / read:.1f}", f"{read / spent:.1f}")
    console.print(table)
    console.print(_loader_table(dataset, places, arguments))
    return 0


def _first_batch(arguments: argparse.Namespace) -> tuple["VideoDataset", str]:
    """The data set, and what it took until its first batch was there."""
    from videozoo.clip_spec import ClipSpec
    from videozoo.data.datamodules import DATA_MODULES  # noqa: F401  # the import is not what is timed

    spec = ClipSpec(arguments.frames, arguments.size, round(arguments.size * 256 / 224))
    start = time.perf_counter()
    data = create_data(arguments.dataset, arguments.root, arguments, spec)
    data.batch_size = arguments.batch_size
    next(iter(data.train_dataloader()))
    seconds = time.perf_counter() - start
    listed = data.dataset("train").annotations
    said = f"{len(listed)} videos, {listed.nbytes / 1e6:.1f} MB of annotations, first batch after {seconds:.2f} s"
    return data.dataset("train"), said


def split_seconds(
    dataset: "VideoDataset", places: list[tuple[int, int]], batch_size: int
) -> tuple[dict[str, float], int]:
    """Seconds that training clips spend in each step, and how many clips could be read."""
    import torch

    from videozoo.data.dataset import sample_generator
    from videozoo.data.sampling import sample_indices
    from videozoo.errors import VideoError

    seconds = dict.fromkeys(STEPS, 0.0)
    read = 0
    batch: list[dict[str, Tensor]] = []
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
        batch.append({"clip": clip, "label": label, "index": torch.tensor(index), "failed": torch.tensor(-1)})
        if len(batch) == batch_size:
            read += _collate(batch, seconds)
    read += _collate(batch, seconds)
    if not read:
        raise SettingError(f"{dataset.annotations.root}: none of the {len(places)} videos can be read")
    return seconds, read


def _collate(batch: "list[dict[str, Tensor]]", seconds: dict[str, float]) -> int:
    """Make a batch of the samples, of which none are kept, and note how long it took; how many there were."""
    from videozoo.data.dataset import collate

    count = len(batch)
    start = time.perf_counter()
    if batch:
        collate(batch)
    seconds["collate"] += time.perf_counter() - start
    batch.clear()
    return count


def _loader_table(dataset: "VideoDataset", places: list[tuple[int, int]], arguments: argparse.Namespace) -> Any:
    from importlib.util import find_spec

    from rich.table import Table

    from videozoo.evaluation.benchmark import compare

    readers: dict[str, Callable[[tuple[int, int]], Any]] = {}
    if decord := find_spec("decord") is not None:
        readers["frames alone by decord"] = partial(_decord_frames, dataset)
    readers |= {"frames alone": partial(_frames, dataset), "clips": dataset.__getitem__}
    head = "clips/s (ratio to decord)" if decord else "clips/s"
    table = Table(f"loader, {head}", *(f"{workers} workers" for workers in arguments.workers), box=None)
    columns = [
        compare(
            {name: partial(_drain, reader, places, workers, arguments.batch_size) for name, reader in readers.items()},
            rounds=arguments.rounds,
        )
        for workers in arguments.workers
    ]
    for row in zip(*columns, strict=True):
        rates = (f"{len(places) / timing.median:.1f}" for timing in row)
        ratios = (f" ({1 / timing.ratio:.2f})" if decord else "" for timing in row)
        table.add_row(row[0].name, *map(str.__add__, rates, ratios))
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
