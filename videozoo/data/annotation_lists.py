"""Lists of videos that anyone may write: csv, tsv or text, read line by line into columns."""

import math
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from videozoo.data.annotations import Annotations, class_number, iterate_rows
from videozoo.errors import AnnotationError

COLUMNS = ("path", "label", "start", "end")
WHOLE_FILE = (0.0, math.inf)  # seconds


class ListColumns:
    """The columns of one list while it is read: no object a line is kept.

    Labels are class names; with ``known`` classes also their numbers, else ``names`` collects the classes in the order
    in which they appear.
    """

    def __init__(self, file: Path, names: dict[str, int], *, known: bool) -> None:
        self.file = file
        text = bytearray()
        ends, labels, spans = array("q"), array("q"), array("d")
        whole = True
        for line, path, label, (start, end) in _rows(file):
            text += path.encode("utf-8", "surrogateescape")
            ends.append(len(text))
            labels.append(class_number(label, names, file, line) if known else names.setdefault(label, len(names)))
            spans.extend((start, end))
            whole = whole and (start, end) == WHOLE_FILE
        self.text = np.frombuffer(bytes(text) or b"\0", np.uint8)
        self.ends = np.frombuffer(ends, np.int64)
        self.labels = np.frombuffer(labels, np.int64)
        self.spans = None if whole else np.frombuffer(spans, np.float64).reshape(-1, 2)

    def annotations(self, root: Path, classes: tuple[str, ...], order: torch.Tensor) -> Annotations:
        """The list with its labels renumbered: ``order`` (K,) is the final number of each first one."""
        return Annotations(
            root=root,
            classes=classes,
            text=torch.from_numpy(self.text.copy()),
            ends=torch.from_numpy(self.ends.copy()),
            labels=order[torch.from_numpy(self.labels.copy())],
            spans=None if self.spans is None else torch.from_numpy(self.spans.copy()),
        )


def read_lists(files: Sequence[Path], root: Path, classes: tuple[str, ...] | None) -> list[Annotations]:
    """Lists whose lines are ``path label``, or ``path label start end`` with seconds, under an optional header.

    Without ``classes`` these are the names in all lists, sorted; with them a label may also be a class's number.

    Raises:
        AnnotationError: naming the file and the line that cannot be read.
    """
    if classes is not None:
        names = {str(number): number for number in range(len(classes))}
        names |= {name: number for number, name in enumerate(classes)}
        return [
            ListColumns(file, names, known=True).annotations(root, classes, torch.arange(len(classes)))
            for file in files
        ]
    names = {}
    columns = [ListColumns(file, names, known=False) for file in files]
    classes = tuple(sorted(names))
    final = {name: number for number, name in enumerate(classes)}
    order = torch.tensor([final[name] for name in names], dtype=torch.int64)
    return [column.annotations(root, classes, order) for column in columns]


def _rows(path: Path) -> Iterator[tuple[int, str, str, tuple[float, float]]]:
    """Line number, path, label and span of every line of a list."""
    delimiter = {".csv": ",", ".tsv": "\t"}.get(path.suffix.lower(), " ")
    place = {name: column for column, name in enumerate(COLUMNS)}
    for line, row in iterate_rows(path, delimiter):
        names = [cell.strip().lower() for cell in row] if line == 1 else ()
        if {"path", "label"} <= set(names):
            place = {name: column for column, name in enumerate(names)}
            continue
        video, label = _cell(row, place["path"]), _cell(row, place["label"])
        if not video or not label:
            raise AnnotationError(f"{path}, line {line}: expected path, label[, start, end], found {row}")
        yield line, video, label, _span(row, place, path, line)


def _cell(row: list[str], column: int) -> str:
    """The text of a cell, empty where the row ends before it."""
    return row[column].strip() if column < len(row) else ""


def _span(row: list[str], place: dict[str, int], path: Path, line: int) -> tuple[float, float]:
    """Start and end in seconds."""
    if len(row) < 3:
        return WHOLE_FILE
    first, last = (_cell(row, place[name]) if name in place else "" for name in ("start", "end"))
    if not first and not last:
        return WHOLE_FILE
    try:
        start, end = float(first or 0), float(last or math.inf)
    except ValueError as error:
        raise AnnotationError(f"{path}, line {line}: start and end must be seconds ({error})") from error
    if not 0 <= start < end:
        raise AnnotationError(f"{path}, line {line}: the span {start} to {end} seconds is empty or negative")
    return start, end
