"""What is right and wrong with a data set on disk, counted."""

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from videozoo.data.annotations import UNLABELLED, Annotations
from videozoo.data.datamodules.base import Part, VideoDataModule
from videozoo.data.frame_source import open_video
from videozoo.errors import VideoError


@dataclass
class PartReport:
    """One part: listed and missing videos, the official count if there is one, labels without videos, broken files."""

    name: str
    listed: int
    official: int | None
    missing: int
    unlabelled: int
    empty_classes: list[str]
    unreadable: list[str] = field(default_factory=list)


@dataclass
class Report:
    """All parts of a data set, the videos that are in both, and pairs of files in both with the same content."""

    classes: int
    parts: list[PartReport]
    shared: list[str]
    copies: list[tuple[str, str]] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return (
            not self.shared
            and not self.copies
            and not any(
                part.missing or part.unreadable or part.empty_classes or part.official not in (None, part.listed)
                for part in self.parts
            )
        )


def check_data(data: VideoDataModule, *, read: bool, progress: Callable[[Iterable[int]], Iterable[int]]) -> Report:
    """Compare lists with the disk and with the official counts.

    With ``read``, also decode a frame of every video, and compare the contents of files of one size across parts.
    A file that is listed several times, for several labels or spans, is one video. ``progress`` wraps the loop over the
    videos of a part.
    """
    listed: dict[Part, Annotations] = {part: data.annotations(part) for part in ("train", "test")}
    official = dict(zip(listed, _official(data), strict=True))
    reports = []
    for part, annotations in listed.items():
        videos = {name: index for index, name in enumerate(annotations.paths())}
        gone = set(annotations.missing())
        present = [index for index in videos.values() if index not in gone]
        report = PartReport(
            part,
            listed=len(videos),
            official=official[part],
            missing=len(videos) - len(present),
            unlabelled=int((annotations.labels == UNLABELLED).sum()) if not annotations.multilabel else 0,
            empty_classes=[
                name
                for name, count in zip(annotations.classes, annotations.class_counts().tolist(), strict=True)
                if count == 0
            ],
        )
        if read:
            report.unreadable = [
                problem for index in progress(present) if (problem := _problem(annotations.path(index)))
            ]
        reports.append(report)
    train, test = listed.values()
    same_root = train.root == test.root
    shared = sorted(set(train.paths()) & set(test.paths())) if same_root else []
    return Report(len(train.classes), reports, shared, _copies(train, test) if read else [])


def _official(data: VideoDataModule) -> tuple[int | None, int | None]:
    """Official sizes of the training and the test part."""
    counts = getattr(data, "official_counts", None)
    if isinstance(counts, dict):
        counts = counts.get(getattr(data, "split", getattr(data, "version", None)))
    return (counts[0], counts[1]) if counts else (None, None)


def _copies(train: Annotations, test: Annotations) -> list[tuple[str, str]]:
    """Files of the training part and of the test part with the same bytes under different names."""
    sizes = [_sizes(train), _sizes(test)]
    pairs = []
    for size in sorted(sizes[0].keys() & sizes[1].keys()):
        contents = {_digest(path): path for path in sizes[0][size]}
        found = ((contents.get(_digest(path)), path) for path in sizes[1][size])
        pairs += [(str(first), str(second)) for first, second in found if first and first != second]
    return pairs


def _sizes(listed: Annotations) -> dict[int, list[Path]]:
    """The files of a list by their size in bytes."""
    sizes: dict[int, list[Path]] = {}
    for name in listed.paths():
        path = listed.root / name
        if path.is_file():
            sizes.setdefault(os.path.getsize(path), []).append(path)
    return sizes


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _problem(path: Path) -> str | None:
    """What is wrong with a video; None if the frame in its middle can be read."""
    try:
        with open_video(path) as source:
            source.frames([source.frame_count // 2])
    except VideoError as error:
        return str(error)
    return None
