"""Kinetics-400, -600, -700 (Kay et al., 2017; Carreira et al.) and Mini-Kinetics-200 (Xie et al., 2018)."""

import csv
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from videozoo.data.annotations import UNLABELLED, Annotations, class_number, read_lines
from videozoo.data.datamodules.base import Part, VideoDataModule
from videozoo.data.video_files import SUFFIXES
from videozoo.errors import AnnotationError, SettingError

Variant = Literal["400", "600", "700", "mini200"]
NUM_CLASSES: dict[str, int] = {"400": 400, "600": 600, "700": 700, "mini200": 200}
LISTS: dict[Part, tuple[str, ...]] = {
    "train": ("train.csv",),
    "val": ("validate.csv", "val.csv", "validation.csv"),
    "test": ("validate.csv", "val.csv", "validation.csv"),
}
MINI_LISTS: dict[Part, str] = {"train": "train_ytid_list.txt", "val": "val_ytid_list.txt", "test": "val_ytid_list.txt"}


class Kinetics(VideoDataModule):
    """``root`` holds the videos in any folders, named ``ID_SSSSSS_EEEEEE.mp4`` (start and end second) or ``ID.mp4``.

    That covers the downloaders' layouts: ``train/CLASS/...``, ``train/...``, ``val/...``. The official csv lists
    (label, youtube_id, time_start, time_end, split) lie in ``annotations_folder``, or in ``root`` or
    ``root/annotations``. Mini-Kinetics-200 needs its two id lists beside those of Kinetics-400. The test part is
    the validation list, on which the field reports. Videos that have been lost from the web are counted, no error.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        variant: Variant = "400",
        annotations_folder: str | Path | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(root, **settings)
        if variant not in NUM_CLASSES:
            raise SettingError(f"variant {variant!r}: allowed are {', '.join(NUM_CLASSES)}")
        self.variant = variant
        places = [Path(annotations_folder)] if annotations_folder else [self.root, self.root / "annotations"]
        self.lists = next((place for place in places if (place / LISTS["train"][0]).is_file()), places[0])
        self._files: dict[str, str] | None = None

    def annotations(self, part: Part) -> Annotations:
        """The videos of one part."""
        rows = list(self._rows(part))
        classes = tuple(sorted({label for _, label, _, _ in rows if label} | set(self._other_classes(part))))
        if len(classes) > NUM_CLASSES[self.variant]:
            raise AnnotationError(f"{self.lists}: {len(classes)} classes, Kinetics {self.variant} has fewer")
        numbers = {name: number for number, name in enumerate(classes)}
        files = self._video_files()
        file = self._list_file(part)
        paths, labels = [], []
        for line, label, video, stem in rows:
            paths.append(files.get(stem) or files.get(video) or f"{part}/{stem}.mp4")
            labels.append(class_number(label, numbers, file, line) if label else UNLABELLED)
        return Annotations.build(self.root, classes, paths, labels)

    def _list_file(self, part: Part) -> Path:
        names = LISTS[part]
        return next((self.lists / name for name in names if (self.lists / name).is_file()), self.lists / names[0])

    def _rows(self, part: Part) -> Iterator[tuple[int, str, str, str]]:
        """Line, class, video id and file stem of every line of a part's list."""
        file = self._list_file(part)
        chosen = set(read_lines(self.lists / MINI_LISTS[part])) if self.variant == "mini200" else None
        for line, row in enumerate(csv.DictReader(read_lines(file)), start=2):
            try:
                label, video = row.get("label") or "", row["youtube_id"]
                stem = f"{video}_{int(float(row['time_start'])):06d}_{int(float(row['time_end'])):06d}"
            except (KeyError, TypeError, ValueError) as error:
                raise AnnotationError(
                    f"{file}, line {line}: expected label,youtube_id,time_start,time_end, found {list(row.values())}"
                ) from error
            if chosen is None or video in chosen:
                yield line, label, video, stem

    def _other_classes(self, part: Part) -> list[str]:
        """Classes of the training list, so that a part with few of them numbers them alike."""
        if part == "train" or not self._list_file("train").is_file():
            return []
        return [label for _, label, _, _ in self._rows("train")]

    def _video_files(self) -> dict[str, str]:
        """Every video below the root by its name without the suffix; one walk for all parts."""
        if self._files is None:
            self._files = {}
            for folder, _, names in os.walk(self.root):
                relative = os.path.relpath(folder, self.root)
                for name in names:
                    stem, suffix = os.path.splitext(name)
                    if suffix.lower() in SUFFIXES:
                        self._files[stem] = os.path.join(relative, name) if relative != "." else name
        return self._files
