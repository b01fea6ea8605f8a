"""Late fusion of several networks' answers to the same videos (two-stream networks; TVNet, section 5.2).

The papers average scores before softmax: RGB to flow 2 : 3 in PBNet, 1 : 1.5 in DATP, 1 : 2 in TVNet. With scores of
another origin, such as a support vector machine's on trajectories, PBNet averages unit vectors (section V-F).
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from videozoo.errors import AnnotationError, SettingError

Space = Literal["logits", "probabilities", "unit"]
SPACES = ("logits", "probabilities", "unit")


@dataclass(frozen=True)
class ScoreTable:
    """Scores before softmax of some videos: ``scores`` (N, K), a row a file, a column a class."""

    files: tuple[str, ...]
    classes: tuple[str, ...]
    scores: Tensor


def fuse_scores(scores: Sequence[Tensor], weights: Sequence[float], space: Space = "logits") -> Tensor:
    """Weighted mean of scores, of the probabilities that they stand for, or of the scores over their length.

    Softmax of the answer gives the fused probabilities in the first two cases; unit vectors give an order alone.
    Shape: each (N, K) -> (N, K).

    Raises:
        SettingError: for another number of weights than of score arrays, weights that are negative or all 0, and
            another space.
    """
    if len(weights) != len(scores):
        raise SettingError(f"{len(weights)} weights for {len(scores)} networks: must be as many")
    if min(weights) < 0 or not 0 < sum(weights) < float("inf"):
        raise SettingError(f"weights {' '.join(map(str, weights))}: must be finite, not negative, not all 0")
    if space not in SPACES:
        raise SettingError(f"space {space!r}: must be one of {', '.join(SPACES)}")
    shares = torch.tensor(weights, dtype=torch.float64).view(-1, 1, 1) / sum(weights)
    stacked = torch.stack([array.double() for array in scores])
    if space == "logits":
        return (shares * stacked).sum(dim=0)
    if space == "unit":
        return (shares * F.normalize(stacked, dim=-1)).sum(dim=0)
    return torch.logsumexp(stacked.log_softmax(dim=-1) + shares.log(), dim=0)


def fuse_tables(tables: Sequence[ScoreTable], weights: Sequence[float], space: Space = "logits") -> ScoreTable:
    """Fuse tables of the same videos and classes; the rows are matched by file name, in the first table's order.

    Raises:
        SettingError: when classes (their order counts) or files differ; the text names the first difference.
    """
    first = tables[0]
    arrays = []
    for place, table in enumerate(tables, start=1):
        if table.classes != first.classes:
            raise SettingError(f"tables 1 and {place}: {_first_difference(first.classes, table.classes)}")
        rows = {file: row for row, file in enumerate(table.files)}
        absent = [file for file in first.files if file not in rows]
        surplus = sorted(rows.keys() - set(first.files))
        if absent or surplus:
            which = f"table {place} lacks {absent[0]!r}" if absent else f"only table {place} has {surplus[0]!r}"
            raise SettingError(f"tables 1 and {place} are not about the same videos: {which}")
        arrays.append(table.scores[[rows[file] for file in first.files]])
    return ScoreTable(first.files, first.classes, fuse_scores(arrays, weights, space))


def _first_difference(ours: tuple[str, ...], theirs: tuple[str, ...]) -> str:
    if len(ours) != len(theirs):
        return f"{len(ours)} and {len(theirs)} classes"
    place = next(i for i, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b)
    return f"class {place} is {ours[place]!r} and {theirs[place]!r}"


def read_scores(path: str | PathLike[str]) -> ScoreTable:
    """The table that ``videozoo predict --scores`` writes: a header ``file,<class>...`` and a row a video.

    Raises:
        AnnotationError: when the file cannot be read or is no such table; the text names the line.
    """
    name = fspath(path)
    try:
        with open(path, newline="", encoding="utf-8") as stream:
            rows = list(csv.reader(stream))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise AnnotationError(f"{name}: cannot be read ({error})") from error
    if not rows or rows[0][:1] != ["file"] or len(rows[0]) < 2:
        raise AnnotationError(f"{name}, line 1: must be a header 'file,<class>,...'")
    classes = tuple(rows[0][1:])
    files: dict[str, list[float]] = {}
    for line, row in enumerate(rows[1:], start=2):
        if len(row) != len(classes) + 1:
            raise AnnotationError(f"{name}, line {line}: {len(row)} fields, the header has {len(classes) + 1}")
        if row[0] in files:
            raise AnnotationError(f"{name}, line {line}: {row[0]!r} is there twice")
        try:
            files[row[0]] = [float(value) for value in row[1:]]
        except ValueError as error:
            raise AnnotationError(f"{name}, line {line}: {error}") from error
    if not files:
        raise AnnotationError(f"{name}: a header and no videos")
    return ScoreTable(tuple(files), classes, torch.tensor(list(files.values()), dtype=torch.float64))


def write_scores(table: ScoreTable, path: str | PathLike[str]) -> None:
    """Write a table that read_scores reads."""
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["file", *table.classes])
        for file, row in zip(table.files, table.scores.tolist(), strict=True):
            writer.writerow([file, *map(repr, row)])
