"""Which files count as videos, and where a folder keeps them."""

import os
from pathlib import Path

SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"}
)


def video_names(folder: Path) -> list[str]:
    """The videos below a folder by their suffix, as sorted paths relative to it; no file is looked at.

    Links to folders are not followed, which may lead in a circle.
    """
    found = []
    for place, _, names in os.walk(folder):
        inside = os.path.relpath(place, folder)
        prefix = "" if inside == "." else f"{inside}/"
        found += [prefix + name for name in names if name[name.rfind(".") :].lower() in SUFFIXES]
    return sorted(found)


def find_video_files(folder: Path) -> list[Path]:
    """The same as paths."""
    return [folder / name for name in video_names(folder)]
