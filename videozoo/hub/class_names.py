"""Class names: text files, one name a line, the first line being class 0."""

import hashlib
from importlib.resources import files
from pathlib import Path

from videozoo.errors import CheckpointError
from videozoo.hub.plain_yaml import read_text
from videozoo.hub.schema import Labels


def packaged_labels(name: str) -> Path:
    """The file of that name among the lists that come with this package."""
    return Path(str(files("videozoo"))) / "hub" / "labels" / name


def read_labels(path: Path, expected: Labels) -> tuple[str, ...]:
    """The names of all classes.

    Raises:
        CheckpointError: when the file is missing, another one, or has another number of lines than classes.
    """
    if not path.is_file():
        raise CheckpointError(f"{path}: the list of class names is missing")
    text = read_text(path)
    found = hashlib.sha256(text.encode()).hexdigest()
    if found != expected.sha256:
        raise CheckpointError(f"{path}: sha256 {found}, expected {expected.sha256}")
    names = tuple(line.rstrip("\r") for line in text.removesuffix("\n").split("\n"))
    if len(names) != expected.num_classes or not all(name.strip() for name in names):
        raise CheckpointError(f"{path}: {len(names)} lines, expected {expected.num_classes} class names")
    return names
