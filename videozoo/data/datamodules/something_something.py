"""Something-Something V1 and V2 (Goyal et al., 2017): 174 ways of handling things, told apart by motion."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import torch

from videozoo.data.annotations import UNLABELLED, Annotations, class_number, iterate_lines, read_lines
from videozoo.data.datamodules.base import Part, VideoDataModule, first_folder
from videozoo.errors import AnnotationError, SettingError

OFFICIAL_COUNTS = {1: (86017, 11522, 10960), 2: (168913, 24777, 27157)}  # training, validation, test without labels
PART_NAMES: dict[Part, str] = {"train": "train", "val": "validation", "test": "validation"}
LEFT, RIGHT = "left", "right"


class SomethingSomething(VideoDataModule):
    """Version 1: ``20bn-something-something-v1/ID/00001.jpg`` and semicolon lists; version 2: webm files and json.

    ``root`` holds the videos and the lists (``something-something-v1-train.csv`` ..., ``labels`` or
    ``something-something-v2-train.json`` ..., ``labels.json``), in a folder ``labels`` or beside the videos. The test
    part is the validation list, since the official test has no labels. A mirrored clip takes the class whose name has
    left and right exchanged; ``mirror="never"`` switches mirroring off, as the papers' own codes do.
    """

    official_counts = OFFICIAL_COUNTS
    frame_rate = 12.0

    def __init__(
        self,
        root: str | Path,
        *,
        version: Literal[1, 2] = 2,
        annotations_folder: str | Path | None = None,
        mirror: Literal["never", "swap"] = "never",
        **settings: Any,
    ) -> None:
        super().__init__(root, flip=mirror == "swap", **settings)
        if version not in OFFICIAL_COUNTS:
            raise SettingError(f"version {version}: allowed are 1 and 2")
        if mirror not in ("never", "swap"):
            raise SettingError(f"mirror {mirror!r}: allowed are never and swap")
        self.version = version
        self.lists = Path(annotations_folder) if annotations_folder else first_folder(self.root, "labels")
        self.videos = first_folder(self.root, f"20bn-something-something-v{version}", "videos")
        if mirror == "swap":
            self.mirrored_labels = mirrored_classes(self.annotations("train").classes)

    def annotations(self, part: Part) -> Annotations:
        """The videos of one part."""
        stem = f"something-something-v{self.version}-{PART_NAMES[part]}"
        return self._read_csv(self.lists / f"{stem}.csv") if self.version == 1 else self._read_json(f"{stem}.json")

    def _read_csv(self, file: Path) -> Annotations:
        classes = tuple(line for line in read_lines(self.lists / "something-something-v1-labels.csv") if line)
        numbers = {name: number for number, name in enumerate(classes)}
        paths, labels = [], []
        for line, text in enumerate(read_lines(file), start=1):
            name, _, label = text.partition(";")
            if name:
                paths.append(name)
                labels.append(class_number(label, numbers, file, line) if label else UNLABELLED)
        return Annotations.build(self.videos, classes, paths, labels)

    def _read_json(self, name: str) -> Annotations:
        labels_file, file = self.lists / "labels.json", self.lists / name
        try:
            numbers = {str(label): int(number) for label, number in _json(labels_file, dict).items()}
        except (TypeError, ValueError) as error:
            raise AnnotationError(f"{labels_file}: expected a number for every class ({error})") from error
        classes = sorted(numbers, key=lambda label: numbers[label])
        paths: list[str] = []
        labels: list[int] = []

        def take(entry: dict[str, Any]) -> None:
            """Keep of an entry what is needed, so that the parsed file is never in memory as a whole."""
            template = str(entry.get("template", "")).replace("[", "").replace("]", "")
            paths.append(f"{entry.get('id')}.webm")
            labels.append(class_number(template, numbers, file, len(paths)))

        entries = _json(file, list, take)
        if len(entries) != len(paths) or any(entry is not None for entry in entries):
            raise AnnotationError(f"{file}: expected a JSON list of objects with id and template")
        return Annotations.build(self.videos, classes, paths, labels)


def mirrored_classes(classes: tuple[str, ...]) -> torch.Tensor:
    """The class of each class's mirror image: left and right exchanged in its name, itself where that is no class.

    Shape: (K,).
    """
    numbers = {name: number for number, name in enumerate(classes)}
    mirrored = [" ".join({LEFT: RIGHT, RIGHT: LEFT}.get(word, word) for word in name.split(" ")) for name in classes]
    return torch.tensor([numbers.get(name, number) for number, name in enumerate(mirrored)])


def _json(file: Path, kind: type, take: Callable[[dict[str, Any]], None] | None = None) -> Any:
    """A file's values; with ``take`` each object is handed to it and None stands in its place."""
    try:
        values = json.loads("".join(iterate_lines(file)), object_hook=take)
    except json.JSONDecodeError as error:
        raise AnnotationError(f"{file}, line {error.lineno}: not JSON ({error.msg})") from error
    if not isinstance(values, kind):
        raise AnnotationError(f"{file}: expected a JSON {kind.__name__}, found a {type(values).__name__}")
    return values
