"""Kinetics-400, -600, -700 (Kay et al., 2017; Carreira et al.) and Mini-Kinetics-200 (Xie et al., 2018)."""

from array import array
from collections.abc import Iterator
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import numpy as np

from videozoo.data.annotations import UNLABELLED, Annotations, iterate_rows, read_lines
from videozoo.data.datamodules.base import Part, VideoDataModule
from videozoo.data.video_files import video_names
from videozoo.errors import AnnotationError, SettingError

Variant = Literal["400", "600", "700", "mini200"]
NUM_CLASSES: dict[str, int] = {"400": 400, "600": 600, "700": 700, "mini200": 200}
LISTS: dict[Part, tuple[str, ...]] = {
    "train": ("train.csv",),
    "val": ("validate.csv", "val.csv", "validation.csv"),
    "test": ("validate.csv", "val.csv", "validation.csv"),
}
COLUMNS = ("youtube_id", "time_start", "time_end")
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
        self.variant = str(variant)  # a command line may give 400 as a number
        if self.variant not in NUM_CLASSES:
            raise SettingError(f"variant {variant!r}: allowed are {', '.join(NUM_CLASSES)}")
        places = [Path(annotations_folder)] if annotations_folder else [self.root, self.root / "annotations"]
        self.lists = next((place for place in places if (place / LISTS["train"][0]).is_file()), places[0])
        self._parts: dict[Part, Annotations] = {}

    def annotations(self, part: Part) -> Annotations:
        """The videos of one part."""
        if part not in self._parts:
            self._parts |= self._read(part)
        return self._parts[part]

    def _read(self, part: Part) -> dict[Part, Annotations]:
        """One part, and those whose lists are there: all number their classes alike, and files are looked for once."""
        files = {name: self._list_file(name) for name in LISTS}
        found = {name[name.rfind("/") + 1 : name.rfind(".")]: name for name in video_names(self.root)}
        names: dict[str, int] = {}
        read: dict[Path, tuple[list[str], array[int]]] = {}
        for name, file in files.items():
            if file in read or not (name == part or file.is_file()):
                continue
            paths, labels = read.setdefault(file, ([], array("q")))
            for label, video, stem in self._rows(file, name):
                paths.append(found.get(stem) or found.get(video) or f"{stem}.mp4")
                labels.append(names.setdefault(label, len(names)))
        classes = tuple(sorted(names.keys() - {""}))
        if len(classes) > NUM_CLASSES[self.variant]:
            raise AnnotationError(f"{self.lists}: {len(classes)} classes, Kinetics {self.variant} has fewer")
        final = {name: number for number, name in enumerate(classes)}
        order = np.array([final.get(name, UNLABELLED) for name in names], np.int64)
        parts = {
            file: Annotations.build(self.root, classes, paths, order[np.array(labels, np.int64)])
            for file, (paths, labels) in read.items()
        }
        return {name: parts[file] for name, file in files.items() if file in parts}

    def _list_file(self, part: Part) -> Path:
        names = LISTS[part]
        return next((self.lists / name for name in names if (self.lists / name).is_file()), self.lists / names[0])

    def _rows(self, file: Path, part: Part) -> Iterator[tuple[str, str, str]]:
        """Class, video id and file stem of every line of a part's list."""
        chosen = set(read_lines(self.lists / MINI_LISTS[part])) if self.variant == "mini200" else None
        rows = iterate_rows(file)
        _, names = next(rows, (0, []))
        place = {name.strip(): column for column, name in enumerate(names)}
        cells = itemgetter(*(place.get(name, len(names)) for name in COLUMNS))
        labelled = "label" in place
        for line, row in rows:
            try:
                video, start, end = cells(row)
                label = row[place["label"]] if labelled else ""
                stem = f"{video}_{int(float(start)):06d}_{int(float(end)):06d}"
            except (LookupError, ValueError) as error:
                raise AnnotationError(
                    f"{file}, line {line}: expected label,youtube_id,time_start,time_end, found {row}"
                ) from error
            if chosen is None or video in chosen:
                yield label, video, stem
