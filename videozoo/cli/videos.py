"""The videos that a command line names: files, folders, globs, or `-` for a list on standard input."""

import glob
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from videozoo.data.video_files import SUFFIXES, find_video_files
from videozoo.errors import SettingError


def find_videos(arguments: Sequence[str]) -> list[str]:
    """Files in the order named; the videos below a folder are sorted, by their suffix.

    A file that does not exist stays in the list: reading it gives the error where the others give an answer.

    Raises:
        SettingError: when a folder holds no video, a pattern matches nothing, or nothing is left.
    """
    videos = [video for argument in arguments for video in _expand(argument)]
    if not videos:
        raise SettingError("no videos: the list is empty")
    return videos


def _expand(argument: str) -> Iterator[str]:
    if argument == "-":
        yield from (line.strip() for line in sys.stdin if line.strip())
    elif Path(argument).is_dir():
        found = find_video_files(Path(argument))
        if not found:
            raise SettingError(f"{argument}: no videos in this folder (looked for {' '.join(sorted(SUFFIXES))})")
        yield from map(str, found)
    elif glob.has_magic(argument) and not Path(argument).exists():
        matches = sorted(glob.glob(argument, recursive=True))
        if not matches:
            raise SettingError(f"{argument}: the pattern matches no file")
        for match in matches:
            if Path(match).is_file():
                yield match
    else:
        yield argument
