"""ARID: actions in the dark (Xu et al., 2021), as its lists give it: index, label, file."""

from pathlib import Path
from typing import Any

from torch import Tensor

from videozoo.data.annotations import Annotations, read_lines
from videozoo.data.datamodules.base import Part, VideoDataModule
from videozoo.data.memory import VideoMemory
from videozoo.errors import AnnotationError, SettingError

FOLDERS: dict[Part, str] = {"train": "train", "val": "validate", "test": "validate"}
CLASSES = "mapping_table_24.txt"


class ARID(VideoDataModule):
    """``root`` holds ``train.txt``, ``validate.txt``, the class table, and the videos below ``train`` and ``validate``.

    The pictures are so dark that a network sees almost nothing; ``gamma`` > 1 brightens them (value ** (1 / gamma) on
    0..1, the usual first step on this set). The official test part is the validation list. Videos stay in memory.
    """

    labels = ("Jump", "Run", "Sit", "Stand", "Turn", "Walk")  # of the six-class subset

    def __init__(self, root: str | Path, *, gamma: float = 3.0, **settings: Any) -> None:
        super().__init__(root, **settings)
        if gamma <= 0:
            raise SettingError(f"gamma {gamma}: must be above 0")
        table = ((i / 255) ** (1 / gamma) * 255 for i in range(256))
        self.brightness = Tensor([round(value) for value in table]).byte()
        if self.flow_root is None:
            self.opener = VideoMemory(self.clip_spec, self.brighten)

    def brighten(self, frames: Tensor) -> Tensor:
        """Gamma correction of uint8 frames."""
        return self.brightness[frames.long()]

    def annotations(self, part: Part) -> Annotations:
        """The videos of one part, by its official list."""
        table = self.root / CLASSES
        classes = [line.split("\t")[1] for line in read_lines(table) if line]
        file = self.root / f"{FOLDERS[part]}.txt"
        rows = [line.split("\t") for line in read_lines(file) if line]
        for number, row in enumerate(rows, start=1):
            if len(row) != 3 or not row[1].isdigit() or int(row[1]) >= len(classes):
                raise AnnotationError(f"{file}, line {number}: expected index, label below {len(classes)}, file: {row}")
        return Annotations.build(
            self.root / FOLDERS[part], classes, (row[2] for row in rows), [int(row[1]) for row in rows]
        )
