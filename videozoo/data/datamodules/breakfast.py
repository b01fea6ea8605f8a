"""Breakfast (Kuehne et al., 2014): ten kitchen activities of minutes each, seen by several cameras."""

from pathlib import Path
from typing import Any, Literal

from videozoo.data.annotations import Annotations, class_number
from videozoo.data.datamodules.base import Part, VideoDataModule, first_folder
from videozoo.data.video_files import find_video_files
from videozoo.errors import AnnotationError, SettingError

CLASSES = ("cereals", "coffee", "friedegg", "juice", "milk", "pancake", "salat", "sandwich", "scrambledegg", "tea")
# Persons of the test part of each official split; all others train.
TEST_PERSONS = {1: range(3, 16), 2: range(16, 29), 3: range(29, 42), 4: range(42, 55)}
OFFICIAL_COUNTS = {1: (1460, 252), 2: (1261, 451), 3: (1279, 433), 4: (1136, 576)}  # training, test
SECOND_EYE = "_ch1"  # of the stereo pair, which shows the same as the first


class Breakfast(VideoDataModule):
    """``root`` holds ``BreakfastII_15fps_qvga_sync/PERSON/CAMERA/PERSON_ACTIVITY.avi``, as the archive unpacks.

    The class is the file's name, the part its person: ``split`` 1 to 4 as published. Of a stereo pair the first eye
    is taken. Validation is the test part.
    """

    official_counts = OFFICIAL_COUNTS

    def __init__(self, root: str | Path, *, split: Literal[1, 2, 3, 4] = 1, **settings: Any) -> None:
        super().__init__(root, **settings)
        if split not in TEST_PERSONS:
            raise SettingError(f"split {split}: allowed are 1, 2, 3, 4")
        self.split = split
        self.videos = first_folder(self.root, "BreakfastII_15fps_qvga_sync")

    def annotations(self, part: Part) -> Annotations:
        """The videos of one part of the split."""
        numbers = {name: number for number, name in enumerate(CLASSES)}
        paths, labels = [], []
        for path in find_video_files(self.videos):
            person, _, activity = path.stem.partition("_")
            if activity.endswith(SECOND_EYE):
                continue
            if not (person.startswith("P") and person[1:].isdigit()):
                raise AnnotationError(f"{path}: expected a file PERSON_ACTIVITY such as P03_cereals.avi")
            if (int(person[1:]) in TEST_PERSONS[self.split]) == (part != "train"):
                paths.append(str(path.relative_to(self.videos)))
                labels.append(class_number(activity.removesuffix("_ch0"), numbers, path, 1))
        if not paths:
            raise AnnotationError(f"{self.videos}: no videos of split {self.split}, part {part}")
        return Annotations.build(self.videos, CLASSES, paths, labels)
