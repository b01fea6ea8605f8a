"""UCF101 (Soomro et al., 2012): 13,320 videos of 101 actions, three official splits."""

from pathlib import Path
from typing import Any, Literal

from videozoo.data.annotations import Annotations, class_number, read_lines
from videozoo.data.datamodules.base import Part, VideoDataModule, first_folder
from videozoo.errors import AnnotationError, SettingError

Split = Literal[1, 2, 3]
OFFICIAL_COUNTS = {1: (9537, 3783), 2: (9586, 3734), 3: (9624, 3696)}  # training, test


class UCF101(VideoDataModule):
    """``root`` holds ``UCF-101/CLASS/v_*.avi`` and ``ucfTrainTestlist/``, as both archives unpack.

    ``annotations_folder`` names the lists where they lie elsewhere. Validation is the test part, as the field does on
    this set. Classes are numbered as in ``classInd.txt``, which is not sorted order.
    """

    official_counts = OFFICIAL_COUNTS

    def __init__(
        self, root: str | Path, *, split: Split = 1, annotations_folder: str | Path | None = None, **settings: Any
    ) -> None:
        super().__init__(root, **settings)
        if split not in OFFICIAL_COUNTS:
            raise SettingError(f"split {split}: allowed are 1, 2, 3")
        self.split = split
        self.lists = Path(annotations_folder) if annotations_folder else self.root / "ucfTrainTestlist"
        self.videos = first_folder(self.root, "UCF-101", "videos")

    def annotations(self, part: Part) -> Annotations:
        """The videos of one part of the split."""
        names, numbers = self._classes()
        file = self.lists / f"{'train' if part == 'train' else 'test'}list{self.split:02d}.txt"
        paths, labels = [], []
        for line, text in enumerate(read_lines(file), start=1):
            if text.strip():
                path = text.split()[0]  # a training line also ends in the class number; the folder says the same
                paths.append(path)
                labels.append(class_number(path.split("/")[0], numbers, file, line))
        return Annotations.build(self.videos, names, paths, labels)

    def _classes(self) -> tuple[tuple[str, ...], dict[str, int]]:
        file = self.lists / "classInd.txt"
        rows = [text.split() for text in read_lines(file) if text.strip()]
        for line, row in enumerate(rows, start=1):
            if len(row) != 2 or row[0] != str(line):
                raise AnnotationError(f"{file}, line {line}: expected '{line} ClassName', found {' '.join(row)!r}")
        names = tuple(name for _, name in rows)
        return names, {name: number for number, name in enumerate(names)}
