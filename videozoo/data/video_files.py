"""Which files count as videos, and where a folder keeps them."""

from pathlib import Path

SUFFIXES = frozenset(
    {".3gp", ".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"}
)


def find_video_files(folder: Path) -> list[Path]:
    """The videos below a folder by their suffix, sorted."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
