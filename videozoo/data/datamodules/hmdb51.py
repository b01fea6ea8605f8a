"""HMDB51 (Kuehne et al., 2011): 6,766 videos of 51 actions, three official splits of 70 + 30 videos a class."""

from pathlib import Path
from typing import Any, Literal

from videozoo.data.annotations import Annotations, read_lines
from videozoo.data.datamodules.base import Part, VideoDataModule, first_folder
from videozoo.errors import AnnotationError, SettingError

Split = Literal[1, 2, 3]
OFFICIAL_COUNTS = {1: (3570, 1530), 2: (3570, 1530), 3: (3570, 1530)}  # training, test; 1666 are in neither
FLAGS: dict[Part, str] = {"train": "1", "val": "2", "test": "2"}


class HMDB51(VideoDataModule):
    """``root`` holds ``hmdb51_org/CLASS/*.avi`` and ``testTrainMulti_7030_splits/``, as both archives unpack.

    ``annotations_folder`` names the lists where they lie elsewhere. Validation is the test part. File names hold
    brackets, spaces and other signs: they are only ever compared, never matched as patterns.
    """

    official_counts = OFFICIAL_COUNTS

    def __init__(
        self, root: str | Path, *, split: Split = 1, annotations_folder: str | Path | None = None, **settings: Any
    ) -> None:
        super().__init__(root, **settings)
        if split not in OFFICIAL_COUNTS:
            raise SettingError(f"split {split}: allowed are 1, 2, 3")
        self.split = split
        self.lists = Path(annotations_folder) if annotations_folder else self.root / "testTrainMulti_7030_splits"
        self.videos = first_folder(self.root, "hmdb51_org", "videos")

    def annotations(self, part: Part) -> Annotations:
        """The videos of one part of the split."""
        ending = f"_test_split{self.split}.txt"
        files = sorted(self.lists.glob(f"*{ending}"))
        if not files:
            raise AnnotationError(f"{self.lists}: no lists CLASS{ending} in it")
        classes = tuple(file.name.removesuffix(ending) for file in files)
        paths, labels = [], []
        for number, file in enumerate(files):
            for line, text in enumerate(read_lines(file), start=1):
                name, _, flag = text.strip().rpartition(" ")
                if text.strip() and (not name or flag not in ("0", "1", "2")):
                    raise AnnotationError(f"{file}, line {line}: expected 'name.avi 0|1|2', found {text!r}")
                if flag == FLAGS[part]:
                    paths.append(f"{classes[number]}/{name.strip()}")
                    labels.append(number)
        return Annotations.build(self.videos, classes, paths, labels)
