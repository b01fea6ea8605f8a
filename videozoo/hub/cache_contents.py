"""What lies in the cache: listed, verified against the hashes that are known, removed."""

import hashlib
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from videozoo.errors import CheckpointError, VideozooError
from videozoo.hub.cache import hub_folder, upstream_file
from videozoo.hub.find import CONFIG, in_folder
from videozoo.hub.manifest import read_manifest
from videozoo.hub.partial import Expected
from videozoo.hub.schema import Checkpoint, HubSource, UpstreamSource
from videozoo.hub.weights import read_verified

Kind = Literal["checkpoint", "hub", "upstream", "partial"]


@dataclass(frozen=True)
class Entry:
    """Something in the cache; ``size`` in bytes, ``used`` in seconds since 1970."""

    kind: Kind
    name: str
    path: Path
    size: int
    used: float

    @property
    def idle_days(self) -> float:
        """Days since it was last read or written."""
        return max(time.time() - self.used, 0) / 86400


def list_cache(root: Path) -> list[Entry]:
    """All entries: converted checkpoints, hub repositories at a commit, upstream files, unfinished downloads."""
    return sorted([*_checkpoints(root), *_snapshots(root), *_files(root)], key=lambda entry: (entry.kind, entry.name))


def verify(entry: Entry) -> str:
    """Read the entry again and compare it with what is known: ``ok``, or why that cannot be said.

    Raises:
        VideozooError: when it is damaged.
    """
    if entry.kind == "partial":
        return "unfinished"
    if entry.kind == "upstream":
        return _verify_upstream(entry)
    if (entry.path / CONFIG).is_file():
        row = in_folder(entry.path).row
    else:  # fetched for a row of the manifest, which needs no more than the weights
        known = _row_at(entry.name)
        if known is None:
            return "of no known checkpoint"
        row = known
    if not (entry.path / row.file.path).is_file():
        return "no weights yet"
    read_verified(entry.path / row.file.path, row.file)
    return "ok"


def remove(entry: Entry, root: Path) -> None:
    """Delete one entry.

    Raises:
        CheckpointError: when it cannot be deleted.
    """
    try:
        if entry.kind == "hub":
            _remove_snapshot(entry, root)
        elif entry.path.is_dir():
            shutil.rmtree(entry.path)
        else:
            for path in entry.path.parent.glob(f"{entry.path.name}*"):
                path.unlink()
            if not any(entry.path.parent.iterdir()):
                entry.path.parent.rmdir()
    except OSError as error:
        raise CheckpointError(f"{entry.path}: {error.strerror or error}") from error


def _checkpoints(root: Path) -> Iterator[Entry]:
    for folder in _children(root / "checkpoints"):
        if folder.is_dir():
            yield _entry("checkpoint", folder.name, folder)


def _snapshots(root: Path) -> Iterator[Entry]:
    for repository in _children(hub_folder(root)):
        if repository.name.startswith("models--"):
            name = repository.name.removeprefix("models--").replace("--", "/")
            for snapshot in _children(repository / "snapshots"):
                yield _entry("hub", f"{name}@{snapshot.name}", snapshot)


def _files(root: Path) -> Iterator[Entry]:
    for folder in _children(root / "files"):
        for path in _children(folder):
            if path.suffix not in (".lock", ".etag"):
                yield _entry("partial" if path.suffix == ".part" else "upstream", f"{folder.name}/{path.name}", path)


def _children(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _entry(kind: Kind, name: str, path: Path) -> Entry:
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    stats = [file.stat() for file in files]  # of what a link leads to
    used = max((max(stat.st_atime, stat.st_mtime) for stat in stats), default=0.0)
    return Entry(kind, name, path, sum(stat.st_size for stat in stats), used)


def _row_at(name: str) -> Checkpoint | None:
    """The manifest's row with this home: owner/repo@commit."""
    for row in read_manifest().checkpoints:
        for source in row.sources:
            if isinstance(source, HubSource) and f"{source.repo_id}@{source.revision}" == name:
                return row
    return None


def _verify_upstream(entry: Entry) -> str:
    root = entry.path.parents[2]
    for row in read_manifest().checkpoints:
        for source in row.sources:
            if isinstance(source, UpstreamSource) and upstream_file(root, source.url) == entry.path:
                digest = hashlib.sha256(entry.path.read_bytes()).hexdigest()
                Expected(source.sha256, source.size, source.sha256_prefix).check(str(entry.path), digest, entry.size)
                return "ok" if source.sha256 or source.sha256_prefix else f"of {row.name}, whose hash is not known"
    return "hash not known"


def _remove_snapshot(entry: Entry, root: Path) -> None:
    """By huggingface_hub, which knows the files that other commits share."""
    from huggingface_hub import scan_cache_dir

    scan_cache_dir(hub_folder(root)).delete_revisions(entry.path.name).execute()


def is_damaged(entry: Entry) -> str | None:
    """Why an entry is worthless, or None."""
    try:
        verify(entry)
    except VideozooError as error:
        return str(error)
    return None
