"""Sharded tar archives: videos and labels in files that are read from end to end, for storage without a file system.

A shard holds ``NUMBER.EXT`` (the video as it is) and ``NUMBER.json`` ({"label": ..., "path": ...}) of every video, as
the webdataset library lays it out; ``index.json`` names the classes, and every shard with its number of videos. Shards
lie in a folder, below an address (https://...), or wherever a command finds them: ``pipe:aws s3 cp s3://bucket/{} -``.
"""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from videozoo.data.annotations import Annotations
from videozoo.errors import AnnotationError, SettingError, VideoError

INDEX = "index.json"
SHARD_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*\.tar")


@dataclass(frozen=True)
class ShardIndex:
    """What a folder or an address of shards holds: class names, and the videos in each archive."""

    classes: tuple[str, ...]
    shards: tuple[tuple[str, int], ...]

    @property
    def videos(self) -> int:
        """Videos in all shards."""
        return sum(count for _, count in self.shards)


@dataclass(frozen=True)
class StoredVideo:
    """One video as it lies in a shard: the bytes of its file, its label, its place in the list, and what to call it."""

    content: bytes
    suffix: str
    label: int
    index: int
    name: str


class ShardError(VideoError):
    """A shard, or a video in it, that cannot be read."""

    def __init__(self, message: str, shard: str = "") -> None:
        super().__init__(message)
        self.shard = shard


def require_webdataset() -> Any:
    """The webdataset library.

    Raises:
        SettingError: when it is not installed.
    """
    if find_spec("webdataset") is None:
        raise SettingError("shards need the webdataset library: pip install 'videozoo[shards]'")
    import webdataset

    return webdataset


def write_shards(listed: Annotations, out: Path, *, videos: int, seed: int = 0) -> Iterator[int]:
    """Write the videos, ``videos`` to a shard and in a random order, and the index last; hands back each one's place.

    Raises:
        SettingError: when the folder holds shards already, for several labels, or spans of files.
        VideoError: for a file that cannot be read, and for a video that is a folder of pictures.
    """
    webdataset = require_webdataset()
    if listed.multilabel or listed.spans is not None:
        raise SettingError("shards hold whole videos with one label each")
    if videos < 1:
        raise SettingError(f"{videos} videos a shard: must be at least 1")
    out.mkdir(parents=True, exist_ok=True)
    if any(out.glob("*.tar")):
        raise SettingError(f"{out}: holds shards already, take another folder")
    order = torch.randperm(len(listed), generator=torch.Generator().manual_seed(seed)).tolist()
    shards: list[tuple[str, int]] = []
    for first in range(0, len(order), videos):
        chosen = order[first : first + videos]
        name = f"{len(shards):06d}.tar"
        partial = out / f"{name}.partial"
        with partial.open("wb") as file, webdataset.TarWriter(file, encoder=False) as archive:
            for place in chosen:
                path = listed.path(place)
                note = {"label": int(listed.labels[place]), "path": listed.relative(place), "index": place}
                suffix = path.suffix.lower().lstrip(".") or "bin"
                video = _content(path)
                archive.write({"__key__": f"{place:09d}", suffix: video, "json": json.dumps(note).encode("utf-8")})
                yield place
        partial.rename(out / name)
        shards.append((name, len(chosen)))
    index = {"classes": listed.classes, "shards": [{"file": name, "videos": count} for name, count in shards]}
    (out / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except IsADirectoryError as error:
        raise VideoError(f"{path}: a folder of pictures, shards hold video files") from error
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({error.strerror})") from error


def place_of(root: str, name: str) -> str:
    """The address of a file below the root of shards; a command has ``{}`` where the name belongs.

    Raises:
        SettingError: for a command without it.
    """
    if not root.startswith("pipe:"):
        return f"{root.rstrip('/')}/{name}"
    if "{}" not in root:
        raise SettingError(f"{root}: a command needs {{}} where the name of a file belongs")
    return root.replace("{}", name)


def read_index(root: str, part: str) -> ShardIndex:
    """The index of the shards of one part.

    Raises:
        AnnotationError: when it is absent or damaged.
    """
    file = place_of(root, f"{part}/{INDEX}")
    try:
        with require_webdataset().gopen(file) as stream:
            content = stream.read()
    except (OSError, ValueError) as error:  # ValueError: an address of a kind that the library cannot open
        raise AnnotationError(
            f"{file}: no index of shards ({_reason(error)}); `videozoo data shard` writes one"
        ) from error
    try:
        found = json.loads(content)
        shards = tuple((str(shard["file"]), int(shard["videos"])) for shard in found["shards"])
        classes = tuple(map(str, found["classes"]))
    except (ValueError, KeyError, TypeError) as error:
        raise AnnotationError(f"{file}: not an index of shards ({error})") from error
    for name, _ in shards:
        if not SHARD_NAME.fullmatch(name):  # it goes into addresses and commands
            raise AnnotationError(f"{file}: shard {name!r}, a name has letters, digits, _ and - and ends in .tar")
    return ShardIndex(classes, shards)


def shard_stream(shards: Sequence[str], *, shuffle: int, seed: int, epoch: int) -> Iterator[StoredVideo | ShardError]:
    """Videos of these shards that fall to this loader worker, and the error in the place of what cannot be read.

    The library splits the shards over workers, and shuffles videos within a window of ``shuffle``. Nothing is
    unpickled: of the library's decoders none is used, a note is JSON.
    """
    webdataset = require_webdataset()
    damaged: list[ShardError] = []

    def note(error: Exception) -> bool:
        """Remember a shard that ends too early; the next one is read."""
        address = next((part for part in reversed(error.args) if part in shards), "a shard")
        if not any(known.shard == address for known in damaged):
            damaged.append(ShardError(f"{address}: damaged, or not to be had ({_reason(error)})", address))
        return True

    stream = webdataset.DataPipeline(
        webdataset.SimpleShardList(list(shards)),
        webdataset.split_by_worker,
        webdataset.tarfile_to_samples(handler=note, select_files=_is_plain),
    )
    if shuffle:
        stream = stream.compose(webdataset.detshuffle(shuffle, seed=seed + epoch))
    for sample in stream:
        yield _opened(sample)
    yield from damaged


def _reason(error: Exception) -> str:
    """What went wrong, in a few words."""
    return getattr(error, "strerror", None) or f"{type(error).__name__}: {error.args[0] if error.args else ''}"[:200]


def _is_plain(name: str) -> bool:
    """Every file but the library's own control files."""
    return not name.startswith("__")


def _opened(sample: dict[str, Any]) -> StoredVideo | ShardError:
    name = f"{sample['__url__']}, {sample['__key__']}"
    try:
        note = json.loads(sample["json"])
        suffix = next(key for key in sample if not key.startswith("__") and key != "json")
        return StoredVideo(sample[suffix], suffix, int(note["label"]), int(note["index"]), f"{name} ({note['path']})")
    except (ValueError, KeyError, TypeError, StopIteration):
        return ShardError(f"{name}: no video with its note", name)
