"""Publish a checkpoint: one commit with weights, row, class names, licence and card, then a tag."""

import re
import shutil
import tempfile
from pathlib import Path

from videozoo.errors import SettingError
from videozoo.hub.card import model_card
from videozoo.hub.class_names import read_labels
from videozoo.hub.fields import check_repo_id
from videozoo.hub.find import CONFIG, Found, Search, find_checkpoint
from videozoo.hub.hub_client import endpoint, told_in_one_line
from videozoo.hub.licence_text import licence_text
from videozoo.hub.save import LABELS, row_as_json
from videozoo.hub.schema import Checkpoint, HubSource, PackageSource, UpstreamSource
from videozoo.hub.weights import read_verified

REPO_ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
FIRST_TAG = "v1"
CARD = "README.md"


def publish_model(
    source: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    dry_run: bool = False,
    tag: str | None = None,
    cache_dir: str | Path | None = None,
) -> Checkpoint:
    """Publish a folder (of save_model or convert) or a checkpoint by name; returns the row with its new home.

    The row is ready for the manifest, and ``load_model("OWNER/NAME@TAG")`` gives the same scores bit for bit. Without
    ``tag`` it is v1, or the number after the last one. A ``dry_run`` prepares all files and sends nothing.

    Raises:
        SettingError: when the repository's name is impossible, or it or the licence does not go with ``private``.
        CheckpointError: when the weights are damaged, or the hub refuses.
    """
    _check_repo_id(repo_id)
    found = find_checkpoint(str(source), Search.of(cache_dir))
    if not private and not found.row.licence.redistribute:
        raise SettingError(
            f"{found.row.name}: licence {found.row.licence.weights!r} does not allow to redistribute; publish privately"
        )
    with tempfile.TemporaryDirectory() as folder:
        if dry_run:
            row = prepare(found, Path(folder), repo_id, tag or FIRST_TAG)
            return _at_home(row, repo_id, "0" * 40, tag or FIRST_TAG)
        with told_in_one_line(f"publishing {repo_id}"):
            return _send(found, Path(folder), repo_id, private=private, tag=tag)


def published_card(source: str | Path, repo_id: str, *, cache_dir: str | Path | None = None) -> tuple[str, str]:
    """The name of a checkpoint, and the model card that a first publication of it in ``repo_id`` would have.

    Raises:
        SettingError: when the repository's name is impossible.
        CheckpointError: when the weights or the class names are not the expected ones.
    """
    _check_repo_id(repo_id)
    found = find_checkpoint(str(source), Search.of(cache_dir))
    with tempfile.TemporaryDirectory() as folder:
        row = prepare(found, Path(folder), repo_id, FIRST_TAG)
        return row.name, (Path(folder) / CARD).read_text(encoding="utf-8")


def prepare(found: Found, folder: Path, repo_id: str, tag: str) -> Checkpoint:
    """Write the files of a repository into a folder: weights, config.json, labels.txt, LICENSE, README.md.

    Raises:
        CheckpointError: when the weights or the class names are not the expected ones.
    """
    read_verified(found.weights, found.row.file)
    shutil.copyfile(found.weights, folder / found.row.file.path)
    row = found.row.model_copy(
        update={
            "status": "converted",
            "sources": tuple(source for source in found.row.sources if isinstance(source, UpstreamSource)),
        }
    )
    names = None
    if found.labels is not None and row.labels is not None:
        names = read_labels(found.labels, row.labels)
        shutil.copyfile(found.labels, folder / LABELS)
        row = row.model_copy(update={"labels": row.labels.model_copy(update={"file": LABELS})})
    (folder / CONFIG).write_bytes(row_as_json(row))
    (folder / "LICENSE").write_text(licence_text(row), encoding="utf-8")
    packaged = any(isinstance(source, PackageSource) for source in found.row.sources)
    (folder / CARD).write_text(model_card(row, repo_id, tag, names, packaged=packaged), encoding="utf-8")
    return row


def _send(found: Found, folder: Path, repo_id: str, *, private: bool, tag: str | None) -> Checkpoint:
    """One commit, then the tag: a reader of the tag never sees half of it."""
    from huggingface_hub import HfApi

    import videozoo

    api = HfApi(endpoint=endpoint(), library_name="videozoo", library_version=videozoo.__version__)
    api.create_repo(repo_id, private=private, exist_ok=True)
    if private and not api.model_info(repo_id).private:
        raise SettingError(f"{repo_id} exists and is public: make it private first, or choose another name")
    tag = tag or _next_tag([ref.name for ref in api.list_repo_refs(repo_id).tags])
    row = prepare(found, folder, repo_id, tag)
    commit = api.upload_folder(repo_id=repo_id, folder_path=folder, commit_message=f"{row.name}, {tag}")
    api.create_tag(repo_id, tag=tag, revision=commit.oid)
    return _at_home(row, repo_id, commit.oid, tag)


def _at_home(row: Checkpoint, repo_id: str, revision: str, tag: str) -> Checkpoint:
    home = HubSource(type="hub", repo_id=repo_id, revision=revision, tag=tag)
    return row.model_copy(update={"status": "released", "sources": (home, *row.sources)})


def _next_tag(tags: list[str]) -> str:
    numbers = [int(tag[1:]) for tag in tags if re.fullmatch(r"v\d{1,6}", tag)]
    return f"v{max(numbers) + 1}" if numbers else FIRST_TAG


def _check_repo_id(repo_id: str) -> None:
    try:
        if re.fullmatch(REPO_ID, repo_id) is None:
            raise ValueError("must be OWNER/NAME of letters, digits, '.', '_' and '-'")
        check_repo_id(repo_id)
    except ValueError as error:
        raise SettingError(f"repo-id {repo_id!r}: {error}") from error
