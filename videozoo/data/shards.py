"""Sharded tar archives: videos and labels in files that are read from end to end, for storage without a file system.

A shard holds ``NUMBER.EXT`` (the video as it is) and ``NUMBER.json`` ({"label": ..., "path": ...}) of every video, as
the webdataset library lays it out; ``index.json`` names the classes, and every shard with its number of videos.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from videozoo.data.annotations import Annotations
from videozoo.errors import AnnotationError, SettingError

INDEX = "index.json"


@dataclass(frozen=True)
class ShardIndex:
    """What a folder or an address of shards holds: class names, and the videos in each archive."""

    classes: tuple[str, ...]
    shards: tuple[tuple[str, int], ...]

    @property
    def videos(self) -> int:
        """Videos in all shards."""
        return sum(count for _, count in self.shards)


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
                archive.write(
                    {"__key__": f"{place:09d}", suffix: path.read_bytes(), "json": json.dumps(note).encode("utf-8")}
                )
                yield place
        partial.rename(out / name)
        shards.append((name, len(chosen)))
    index = {"classes": listed.classes, "shards": [{"file": name, "videos": count} for name, count in shards]}
    (out / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def read_index(folder: Path) -> ShardIndex:
    """The index of a folder of shards.

    Raises:
        AnnotationError: when it is absent or damaged.
    """
    file = folder / INDEX
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        shards = tuple((str(shard["file"]), int(shard["videos"])) for shard in found["shards"])
        return ShardIndex(tuple(map(str, found["classes"])), shards)
    except FileNotFoundError as error:
        raise AnnotationError(f"{file}: no index of shards; `videozoo data shard` writes one") from error
    except (ValueError, KeyError, TypeError) as error:
        raise AnnotationError(f"{file}: not an index of shards ({error})") from error


def shard_stream(folder: Path, index: ShardIndex, *, shuffle: int, seed: int, epoch: int) -> Iterator[dict[str, Any]]:
    """Videos of the shards that fall to this process and this loader worker: bytes, suffix, label and index.

    The library splits the shards over processes and workers, and shuffles them and then videos within a window of
    ``shuffle``. Nothing is unpickled: of the library's decoders none is used, a note is JSON.
    """
    webdataset = require_webdataset()
    urls = [str(folder / name) for name, _ in index.shards]
    if shuffle:
        order = torch.randperm(len(urls), generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch)).tolist()
        urls = [urls[place] for place in order]
    stream = webdataset.WebDataset(
        urls, shardshuffle=False, nodesplitter=webdataset.split_by_node, empty_check=False, select_files=_is_plain
    )
    if shuffle:
        stream = stream.compose(webdataset.detshuffle(shuffle, seed=seed + epoch))
    for sample in stream:
        yield _opened(sample)


def _is_plain(name: str) -> bool:
    """Every file but the library's own control files."""
    return not name.startswith("__")


def _opened(sample: dict[str, Any]) -> dict[str, Any]:
    try:
        note = json.loads(sample["json"])
        suffix = next(key for key in sample if not key.startswith("__") and key != "json")
        return {"video": sample[suffix], "suffix": suffix, "label": int(note["label"]), "index": int(note["index"])}
    except (ValueError, KeyError, TypeError, StopIteration) as error:
        raise AnnotationError(f"{sample.get('__url__')}, {sample.get('__key__')}: no video with its note") from error
