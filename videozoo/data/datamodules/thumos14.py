"""THUMOS14 recognition (Idrees et al., 2017): untrimmed videos, some of which show several of UCF101's actions."""

from dataclasses import replace
from pathlib import Path

import torch

from videozoo.data.annotations import Annotations, read_lines
from videozoo.data.datamodules.base import Part, VideoDataModule, first_folder
from videozoo.errors import AnnotationError

SETS: dict[Part, str] = {"train": "validation", "val": "test", "test": "test"}
OFFICIAL_COUNTS = (1010, 1574)  # validation and test videos


class THUMOS14(VideoDataModule):
    """``root`` holds ``validation/video_validation_*.mp4``, ``test/video_test_*.mp4`` and their class lists.

    A line of ``validation_primaryclass.txt`` or ``test_primaryclass.txt`` is ``video number``, counted from 1 as
    in ``classInd.txt`` (UCF101's, in ``root`` too); ``..._secondaryclass.txt``, where it is present, adds labels. The
    set's validation videos train here, as in the PBNet paper (section V-A): each (video, label) pair is one sample, so
    a video with a second label is entered twice. UCF101, the paper's other training videos, is a data set of its own;
    ConcatDataset joins the two. Labels of the test part are (N, K) zeros and ones, for mean average precision.
    """

    official_counts = OFFICIAL_COUNTS

    def annotations(self, part: Part) -> Annotations:
        """The videos of one part."""
        table = self.root / "classInd.txt"
        classes = tuple(line.split()[-1] for line in read_lines(table) if line.strip())
        labels = self._labels(SETS[part], len(classes))
        folder = first_folder(self.root, SETS[part])
        if part == "train":
            pairs = [(name, label) for name, several in labels.items() for label in several]
            return Annotations.build(folder, classes, (name for name, _ in pairs), [label for _, label in pairs])
        several = torch.zeros(len(labels), len(classes), dtype=torch.int64)
        for row, numbers in enumerate(labels.values()):
            several[row, numbers] = 1
        return replace(Annotations.build(folder, classes, labels, [0] * len(labels)), labels=several)

    def _labels(self, name: str, num_classes: int) -> dict[str, list[int]]:
        """Class numbers (from 0) of every video, the primary one first."""
        labels: dict[str, list[int]] = {}
        for kind in ("primary", "secondary"):
            file = self.root / f"{name}_{kind}class.txt"
            if kind == "secondary" and not file.is_file():
                continue
            for line, text in enumerate(read_lines(file), start=1):
                words = text.split()
                if words and not (len(words) == 2 and words[1].isdigit() and 1 <= int(words[1]) <= num_classes):
                    raise AnnotationError(f"{file}, line {line}: expected 'video 1..{num_classes}', found {text!r}")
                if words:
                    video = words[0] if Path(words[0]).suffix else f"{words[0]}.mp4"
                    labels.setdefault(video, []).append(int(words[1]) - 1)
        return labels
