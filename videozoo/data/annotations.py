"""A list of labelled videos, held in columns: hundreds of thousands of lines cost megabytes and no Python objects."""

import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from videozoo.errors import AnnotationError

UNLABELLED = -1


@dataclass(frozen=True)
class Annotations:
    """Videos (paths below ``root``), their labels, and where in the file they lie.

    ``labels`` is (N,) class numbers, -1 for none, or (N, K) zeros and ones where a video has several. ``spans`` is
    (N, 2) start and end in seconds, infinite for "to the last frame"; None when every file is one video.
    Columns are tensors, which loader workers share without a copy.
    """

    root: Path
    classes: tuple[str, ...]
    text: Tensor = field(repr=False)  # all paths in UTF-8, one after the other
    ends: Tensor = field(repr=False)  # (N,) where each path ends in ``text``
    labels: Tensor = field(repr=False)
    spans: Tensor | None = field(default=None, repr=False)

    @classmethod
    def build(
        cls,
        root: Path,
        classes: Sequence[str],
        paths: Iterable[str],
        labels: Sequence[int] | NDArray[np.int64] | Tensor,
        spans: Sequence[tuple[float, float]] | None = None,
    ) -> "Annotations":
        """From plain lists."""
        encoded = [path.encode("utf-8", "surrogateescape") for path in paths]
        ends = np.cumsum(np.fromiter(map(len, encoded), np.int64, len(encoded)))
        text = np.frombuffer(b"".join(encoded) or b"\0", np.uint8).copy()
        return cls(
            root=Path(root),
            classes=tuple(classes),
            text=torch.from_numpy(text),
            ends=torch.from_numpy(ends),
            labels=torch.as_tensor(np.asarray(labels, np.int64)),
            spans=None if spans is None else torch.tensor(spans, dtype=torch.float64).reshape(-1, 2),
        )

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def nbytes(self) -> int:
        """Size of the columns in memory."""
        columns = (self.text, self.ends, self.labels, self.spans)
        return sum(column.nbytes for column in columns if column is not None)

    @property
    def multilabel(self) -> bool:
        """Whether a video can have several labels."""
        return self.labels.dim() == 2

    def relative(self, index: int) -> str:
        """The path of one video below ``root``."""
        start = int(self.ends[index - 1]) if index > 0 else 0
        return bytes(self.text[start : int(self.ends[index])].numpy()).decode("utf-8", "surrogateescape")

    def path(self, index: int) -> Path:
        """The file of one video."""
        return self.root / self.relative(index)

    def span(self, index: int) -> tuple[float, float] | None:
        """Start and end of one video in its file (seconds), None for all of it."""
        if self.spans is None:
            return None
        start, end = self.spans[index].tolist()
        return start, end

    def paths(self) -> Iterator[str]:
        """All paths below ``root`` in order, one at a time."""
        text, start = self.text.numpy().tobytes(), 0
        for end in self.ends.numpy():
            yield text[start:end].decode("utf-8", "surrogateescape")
            start = end

    def select(self, indices: Sequence[int] | Tensor) -> "Annotations":
        """The same list with these videos only, in this order."""
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        starts = torch.cat([torch.zeros(1, dtype=torch.int64), self.ends[:-1]])[chosen]
        ends = self.ends[chosen]
        text = self.text.numpy().tobytes()
        kept = b"".join(map(text.__getitem__, map(slice, starts.tolist(), ends.tolist())))
        return replace(
            self,
            text=torch.from_numpy(np.frombuffer(kept or b"\0", np.uint8).copy()),
            ends=(ends - starts).cumsum(dim=0),
            labels=self.labels[chosen],
            spans=None if self.spans is None else self.spans[chosen],
        )

    def class_counts(self) -> Tensor:
        """How many videos each class has. Shape: (K,)."""
        if self.multilabel:
            return self.labels.sum(dim=0)
        return torch.bincount(self.labels[self.labels >= 0], minlength=len(self.classes))

    def missing(self) -> list[int]:
        """Places of the videos whose file is not on disk; each folder is listed once, which is quick for large sets."""
        listed: dict[str, set[str]] = {}
        absent = []
        for index, path in enumerate(self.paths()):
            folder, _, name = path.rpartition("/")
            if folder not in listed:
                place = os.path.join(self.root, folder)
                listed[folder] = set(os.listdir(place)) if os.path.isdir(place) else set()
            if name not in listed[folder]:
                absent.append(index)
        return absent


def iterate_lines(path: Path) -> Iterator[str]:
    """The lines of a text file with their ends, one at a time, whatever the system that wrote them.

    Raises:
        AnnotationError: when the file is absent or is not text.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield from file
    except FileNotFoundError as error:
        raise AnnotationError(f"{path}: no such annotation file") from error
    except (UnicodeDecodeError, OSError) as error:
        raise AnnotationError(f"{path}: not a readable text file ({error})") from error


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without their ends.

    Raises:
        AnnotationError: when the file is absent or is not text.
    """
    return [line.rstrip("\r\n") for line in iterate_lines(path)]


def iterate_rows(path: Path, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of every line of a csv file that is not blank.

    Raises:
        AnnotationError: when the file is absent, is not text, or a line is no row.
    """
    reader = csv.reader(iterate_lines(path), delimiter=delimiter, skipinitialspace=True)
    try:
        for row in reader:
            if any(row):
                yield reader.line_num, row
    except csv.Error as error:
        raise AnnotationError(f"{path}, line {reader.line_num}: not a row of a list ({error})") from error


def class_number(name: str, numbers: dict[str, int], path: Path, line: int) -> int:
    """The number of a class name found in an annotation file.

    Raises:
        AnnotationError: naming the file, the line and the nearest known class.
    """
    if name in numbers:
        return numbers[name]
    from difflib import get_close_matches

    near = get_close_matches(name, numbers, n=1)
    hint = f", did you mean {near[0]!r}?" if near else f" ({len(numbers)} classes are known)"
    raise AnnotationError(f"{path}, line {line}: unknown class {name!r}{hint}")
