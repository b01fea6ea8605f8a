"""From a name to files: which row is meant, and where its weights and class names lie."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videozoo.errors import CheckpointError, SettingError, UnknownNameError
from videozoo.hub.cache import cache_root, checkpoint_folder, hub_folder, inside
from videozoo.hub.class_names import packaged_labels
from videozoo.hub.fields import check_repo_id
from videozoo.hub.manifest import embedded_models, read_manifest, read_row
from videozoo.hub.schema import Checkpoint, HubSource, PackageSource, Source, UpstreamSource, UrlSource

CONFIG = "config.json"
REPOSITORY = re.compile(
    r"(?P<repo_id>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(@(?P<revision>[\w.][\w./-]{0,200}))?"
)


@dataclass(frozen=True)
class Found:
    """A row, its file of weights (not yet verified), and its file of class names if it has one."""

    row: Checkpoint
    weights: Path
    labels: Path | None


@dataclass(frozen=True)
class Search:
    """Where to look besides the given name."""

    root: Path
    local_files_only: bool = False

    @classmethod
    def of(cls, cache_dir: str | Path | None, *, local_files_only: bool = False) -> "Search":
        """The search in a cache folder, or in the usual one."""
        return cls(cache_root(cache_dir), local_files_only)


def find_checkpoint(name: str, search: Search, *, revision: str | None = None) -> Found:
    """The checkpoint called ``name``: ``arch.tag``, a folder, or ``owner/repo[@revision]``; fetched if need be.

    Raises:
        UnknownNameError: when it is none of them.
        SettingError: when a revision is given for something that has none.
        CheckpointError: when it cannot be had.
    """
    rows = {row.name: row for row in read_manifest().checkpoints}
    if name in rows:
        return _by_row(rows[name], search, revision)
    folder = Path(name).expanduser()
    match = REPOSITORY.fullmatch(name)
    if folder.is_dir() and ((folder / CONFIG).is_file() or match is None):
        if revision is not None:
            raise SettingError(f"{name} is a folder and has no revision {revision!r}")
        return in_folder(folder)
    if match is None and ("/" in name or "\\" in name):
        raise CheckpointError(f"{name}: no such folder, and not of the form owner/repo[@revision]")
    if match is None:
        raise UnknownNameError("checkpoint", name, rows)
    if revision is not None and match["revision"] is not None:
        raise SettingError(f"{name}: revision {revision!r} is given twice")
    return in_repository(match["repo_id"], match["revision"] or revision or "main", search)


def in_folder(folder: Path) -> Found:
    """The checkpoint of a folder with config.json, the weights and labels.txt.

    Raises:
        CheckpointError: when config.json is missing.
    """
    config = folder / CONFIG
    if not config.is_file():
        raise CheckpointError(f"{folder}: not a checkpoint folder, {CONFIG} is missing")
    row = read_row(config)  # whose paths stay in the folder
    return Found(row, folder / row.file.path, folder / row.labels.file if row.labels else None)


def in_repository(repo_id: str, revision: str, search: Search) -> Found:
    """The checkpoint of a hub repository; all files come from the one commit that ``revision`` names now.

    Raises:
        CheckpointError: when it cannot be had.
    """
    from videozoo.hub.hub_client import OfflineError, fetch_from_hub

    try:
        check_repo_id(repo_id)
    except ValueError as error:
        raise CheckpointError(f"{repo_id}: {error}") from error

    def fetch(filename: str, revision: str) -> Path:
        return fetch_from_hub(
            repo_id,
            filename,
            revision=revision,
            folder=hub_folder(search.root),
            local_files_only=search.local_files_only,
        )

    try:
        config = fetch(CONFIG, revision)
        row, commit = read_row(config), config.parent.name
        weights = fetch(row.file.path, commit)
        labels = fetch(row.labels.file, commit) if row.labels else None
    except OfflineError as error:
        raise OfflineError(f"{error}; {_without_network()}") from error
    return Found(row, weights, labels)


def _by_row(row: Checkpoint, search: Search, revision: str | None) -> Found:
    if row.status == "withdrawn":
        instead = f"; use {row.replaced_by}" if row.replaced_by else ""
        raise CheckpointError(f"{row.name} was withdrawn: {row.reason}{instead}")
    if revision is not None:
        repo_ids = [source.repo_id for source in row.sources if isinstance(source, HubSource)]
        if not repo_ids:
            raise SettingError(f"{row.name} is in no hub repository and has no revision {revision!r}")
        return in_repository(repo_ids[0], revision, search)
    kept = _kept(row, search)
    if kept:
        return kept
    failures = []
    for source in row.sources:
        try:
            return Found(row, _from_source(source, row, search), _labels(row))
        except CheckpointError as error:
            failures.append(str(error))
    raise CheckpointError(f"{row.name}: {'; '.join(failures) or 'has no source yet'}; {_without_network()}")


def _kept(row: Checkpoint, search: Search) -> Found | None:
    """The checkpoint of the cache, converted or fetched earlier; a hash that the manifest pins has the last word."""
    folder = checkpoint_folder(search.root, row.name)
    if not (folder / CONFIG).is_file():
        return None
    found = in_folder(folder)
    if found.row.name != row.name:
        raise CheckpointError(f"{folder}: holds {found.row.name}; remove it (`videozoo cache prune`)")
    known = found.row
    facts: dict[str, Any] = {"labels": known.labels, "status": known.status, "sources": known.sources}
    if row.file.sha256 is None:
        facts["files"] = known.files
    return Found(row.model_copy(update=facts), found.weights, found.labels)


def _from_source(source: Source, row: Checkpoint, search: Search) -> Path:
    """The file of weights by one source.

    Raises:
        CheckpointError: when this source cannot give it.
    """
    if isinstance(source, PackageSource):
        return inside(Path(__file__).parent, source.path)
    if isinstance(source, HubSource):
        from videozoo.hub.hub_client import fetch_from_hub

        return fetch_from_hub(
            source.repo_id,
            row.file.path,
            revision=source.revision,
            folder=hub_folder(search.root),
            local_files_only=search.local_files_only,
        )
    if isinstance(source, UrlSource):
        from videozoo.hub.download import download
        from videozoo.hub.partial import Expected

        target = inside(checkpoint_folder(search.root, row.name), row.file.path)
        expected = Expected(row.file.sha256, row.file.size)
        return download(source.url, target, expected, local_files_only=search.local_files_only)
    assert isinstance(source, UpstreamSource)
    raise CheckpointError(f"convert its upstream file once: `videozoo convert {row.name}` ({source.url})")


def _labels(row: Checkpoint) -> Path | None:
    return packaged_labels(row.labels.file) if row.labels else None


def _without_network() -> str:
    names = embedded_models()
    return f"no download needed for: {', '.join(names) or 'none'}"
