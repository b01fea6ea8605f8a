"""Anyone's own videos: a folder per class, or lists of paths and labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from videozoo.data.annotation_lists import read_lists
from videozoo.data.annotations import Annotations
from videozoo.data.datamodules.base import Part, VideoDataModule
from videozoo.data.video_files import SUFFIXES, video_names
from videozoo.errors import AnnotationError, SettingError

# Names under which people keep the parts, the usual one first.
PART_FOLDERS: dict[Part, tuple[str, ...]] = {
    "train": ("train", "training"),
    "val": ("val", "validation", "validate", "valid"),
    "test": ("test", "testing"),
}


class VideoFolder(VideoDataModule):
    """Videos below ``root``, by folder or by list.

    Without lists: ``root/train/CLASS/video`` and so on if such folders exist, else ``root/CLASS/video``, from which a
    ``holdout`` share of every class is kept for validation, the same one for the same seed. With lists (``train``,
    ``val``, ``test``; csv, tsv or text): a line is ``path label``, or ``path label start end`` with seconds, under an
    optional header that names the columns. Labels are class names; numbers are places in ``classes`` where that is
    given. A part without videos is served from the one before it (test from val).
    """

    def __init__(
        self,
        root: str | Path,
        *,
        train: str | Path | None = None,
        val: str | Path | None = None,
        test: str | Path | None = None,
        classes: Sequence[str] | None = None,
        holdout: float = 0.2,
        **settings: Any,
    ) -> None:
        super().__init__(root, **settings)
        if not 0 <= holdout < 1:
            raise SettingError(f"holdout {holdout}: must be at least 0 and below 1")
        if not self.root.is_dir():
            raise AnnotationError(f"{self.root}: no such folder of videos")
        self.lists: dict[Part, Path | None] = {
            "train": None if train is None else Path(train),
            "val": None if val is None else Path(val),
            "test": None if test is None else Path(test),
        }
        self.holdout = holdout
        self._classes = None if classes is None else tuple(classes)
        self._parts: dict[Part, Annotations] = {}

    def annotations(self, part: Part) -> Annotations:
        """The videos of one part."""
        if not self._parts:
            self._parts = self._read_lists() if self.lists["train"] else self._read_folders()
        return self._parts[part]

    def _read_lists(self) -> dict[Part, Annotations]:
        files = {part: path for part, path in self.lists.items() if path is not None}
        read = read_lists(list(files.values()), self.root, self._classes)
        return self._complete(dict(zip(files, read, strict=True)))

    def _read_folders(self) -> dict[Part, Annotations]:
        folders = {
            part: next((self.root / name for name in names if (self.root / name).is_dir()), None)
            for part, names in PART_FOLDERS.items()
        }
        if folders["train"] is None:
            return self._complete({"train": self._read_class_folders(self.root, self._classes)})
        classes = self._classes or _class_names(folders["train"])
        read = {part: self._read_class_folders(folder, classes) for part, folder in folders.items() if folder}
        return self._complete(read)

    def _read_class_folders(self, folder: Path, classes: Sequence[str] | None) -> Annotations:
        classes = classes or _class_names(folder)
        inside = folder.relative_to(self.root).as_posix()
        prefix = "" if inside == "." else f"{inside}/"
        paths: list[str] = []
        labels: list[int] = []
        for number, name in enumerate(classes):
            found = video_names(folder / name)
            paths += [f"{prefix}{name}/{video}" for video in found]
            labels += [number] * len(found)
        if not paths:
            raise AnnotationError(f"{folder}: no videos in its class folders (looked for {' '.join(sorted(SUFFIXES))})")
        unknown = sorted(set(_class_names(folder)) - set(classes))
        if unknown:
            raise AnnotationError(f"{folder}: class folder {unknown[0]!r} is not among the {len(classes)} classes")
        return Annotations.build(self.root, classes, paths, labels)

    def _complete(self, read: dict[Part, Annotations]) -> dict[Part, Annotations]:
        """Fill absent parts: validation from the test part or a hold-out of training, test from validation."""
        if "val" not in read and "test" in read:
            read["val"] = read["test"]
        if "val" not in read:
            kept, held = stratified_holdout(read["train"].labels, self.holdout, self.seed)
            read["train"], read["val"] = read["train"].select(kept), read["train"].select(held)
        read.setdefault("test", read["val"])
        return read


def stratified_holdout(labels: torch.Tensor, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Places kept and held out: ``share`` of every class (rounded, at least one where a class has two or more)."""
    generator = torch.Generator().manual_seed(seed)
    kept: list[int] = []
    held: list[int] = []
    for label in labels.unique().tolist():
        members = torch.nonzero(labels == label).flatten()
        places = members[torch.randperm(len(members), generator=generator)].tolist()
        count = min(max(round(share * len(places)), 1 if share else 0), len(places) - 1)
        held += places[:count]
        kept += places[count:]
    return sorted(kept), sorted(held)


def _class_names(folder: Path) -> tuple[str, ...]:
    names = tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")))
    if not names:
        raise AnnotationError(f"{folder}: no class folders; videos belong in {folder}/CLASS/")
    return names
