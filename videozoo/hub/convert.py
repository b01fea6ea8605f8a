"""Upstream weights to a checkpoint folder: recognised, renamed, every tensor accounted for, written as safetensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from videozoo.errors import CheckpointError, SettingError, UnknownNameError
from videozoo.hub.build import WithoutDrawing, fill
from videozoo.hub.cache import checkpoint_folder, upstream_file
from videozoo.hub.class_names import packaged_labels, read_labels
from videozoo.hub.class_order import in_official_order, labels_of
from videozoo.hub.describe import describe
from videozoo.hub.download import download
from videozoo.hub.find import Search
from videozoo.hub.manifest import read_manifest
from videozoo.hub.package import save_model
from videozoo.hub.partial import Expected
from videozoo.hub.recognise import Fit, find_fit, recognise_layout
from videozoo.hub.save import save_checkpoint
from videozoo.hub.schema import Checkpoint, UpstreamSource
from videozoo.hub.trained import is_training_run, read_training_run
from videozoo.hub.upstream import Upstream, read_upstream
from videozoo.methods.create import create_model


@dataclass(frozen=True)
class Choices:
    """What the caller knows of a file and what is otherwise found out; ``row`` is the manifest's name of it."""

    row: str | None = None
    layout: str | None = None
    arch: str | None = None
    dataset: str | None = None
    frames: int | None = None
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)


def convert(source: str, to: str | Path | None, choices: Choices, search: Search) -> tuple[Checkpoint, Path]:
    """Convert a name of the manifest, a url or a file; returns the row and the folder that load_model reads.

    A training run's own .ckpt is one of the files. Without ``to`` a checkpoint of the manifest goes to the cache, where
    load_model finds it by name.

    Raises:
        SettingError: when several architectures fit, or ``to`` is missing.
        CheckpointError: when the file cannot be had, is not the expected one, or a tensor does not fit.
    """
    if is_training_run(Path(source)) and to is not None:
        return convert_training_run(Path(source), to, dataset=choices.dataset)
    rows = {row.name: row for row in read_manifest().checkpoints}
    if choices.row is not None and choices.row not in rows:
        raise UnknownNameError("checkpoint", choices.row, rows)
    planned = rows.get(source) or rows.get(choices.row or "")
    upstream = read_upstream(_fetch(source, rows.get(source), search))
    planned = planned or _identify(upstream, list(rows.values()))
    if planned is not None:
        planned = _with_facts(planned, upstream)
        choices = _of_row(planned, choices)
    if to is None and planned is None:
        raise SettingError("--to is missing: this is no checkpoint of the manifest, say where it shall go")
    folder = Path(to) if to is not None else checkpoint_folder(search.root, planned.name)  # type: ignore[union-attr]
    layout, found = _recognise(upstream, choices)
    return _write(folder, found, layout, upstream, planned, choices, source), folder


def convert_training_run(
    path: Path, to: str | Path, *, name: str | None = None, dataset: str | None = None, author: str = "unknown"
) -> tuple[Checkpoint, Path]:
    """A training run's .ckpt as a checkpoint folder; author, licence and figures are for its maker to fill in.

    Raises:
        CheckpointError: when it is no checkpoint of a run with this package.
    """
    model, base_model = read_training_run(path)
    row = save_model(
        model,
        to,
        name=name or f"{describe(model)['arch']}.trained",
        dataset=dataset or "unknown",
        origin={"kind": "trained", "author": author, "base_model": base_model, "training_data": dataset},
        licence={"weights": "unstated", "stated_for_weights": False, "redistribute": False},
    )
    return row, Path(to)


def _fetch(source: str, row: Checkpoint | None, search: Search) -> Path:
    """The file itself; a manifest's name and a url are downloaded into the cache."""
    if row is not None:
        origin = _upstream_source(row)
        expected = Expected(origin.sha256, origin.size, origin.sha256_prefix)
        url = origin.url
    elif source.startswith(("https://", "http://")):
        url, expected = source, Expected()
    else:
        path = Path(source).expanduser()
        if not path.exists():
            raise CheckpointError(f"{source}: no such file, and no checkpoint of the manifest has that name")
        return path
    return download(url, upstream_file(search.root, url), expected, local_files_only=search.local_files_only)


def _upstream_source(row: Checkpoint) -> UpstreamSource:
    for source in row.sources:
        if isinstance(source, UpstreamSource):
            return source
    raise CheckpointError(f"{row.name} has no upstream file to convert; load it by name")


def _identify(upstream: Upstream, rows: Sequence[Checkpoint]) -> Checkpoint | None:
    """The manifest's row of this very file, by its hash: names and shapes do not identify weights."""
    for row in rows:
        for source in row.sources:
            if isinstance(source, UpstreamSource):
                known = source.sha256 or source.sha256_prefix
                if known and upstream.sha256.startswith(known):
                    return row
    return None


def _with_facts(row: Checkpoint, upstream: Upstream) -> Checkpoint:
    """The row with the upstream file's hash and size, checked first where they are known, pinned where not."""
    pinned = []
    for source in row.sources:
        if isinstance(source, UpstreamSource):
            expected = Expected(source.sha256, source.size, source.sha256_prefix)
            expected.check(str(upstream.path), upstream.sha256, upstream.size)
            source = source.model_copy(update={"sha256": upstream.sha256, "size": upstream.size})
        pinned.append(source)
    return row.model_copy(update={"sources": tuple(pinned)})


def _of_row(row: Checkpoint, choices: Choices) -> Choices:
    for name, given, known in (("arch", choices.arch, row.arch), ("dataset", choices.dataset, row.dataset)):
        if given not in (None, known):
            raise SettingError(f"--{name} {given}: {row.name} is of {name} {known}")
    plain = {k: v for k, v in row.hyperparameters.items() if k not in ("num_classes", "in_channels")}
    return replace(
        choices,
        layout=choices.layout or _upstream_source(row).layout,
        arch=row.arch,
        dataset=row.dataset,
        hyperparameters={**plain, **choices.hyperparameters},
    )


def _recognise(upstream: Upstream, choices: Choices) -> tuple[str, Fit]:
    """Layout and architecture; what does not fit is told with the file's name."""
    try:
        layout = recognise_layout(upstream.state, choices.layout)
        found = find_fit(
            upstream.state,
            layout,
            arch=choices.arch,
            frames=choices.frames or upstream.frames,
            hyperparameters=choices.hyperparameters,
        )
    except (CheckpointError, SettingError) as error:
        raise type(error)(f"{upstream.path}: {error}") from error
    return layout, found


def _write(
    folder: Path,
    found: Fit,
    layout: str,
    upstream: Upstream,
    planned: Checkpoint | None,
    choices: Choices,
    source: str,
) -> Checkpoint:
    known = labels_of(choices.dataset, found.num_classes, layout)
    names = read_labels(packaged_labels(known.file), known) if known else None
    state = in_official_order(found.state, names, layout) if choices.dataset == "ssv1" and names else found.state
    with WithoutDrawing():
        model = create_model(found.arch, **found.hyperparameters)
    fill(model.network, state, found.arch)
    if planned is not None:
        facts = planned.to_dict()
    else:
        frames = choices.frames or upstream.frames
        if frames is not None:
            model.clip_spec = replace(model.clip_spec, frames=frames * model.clip_spec.frames_per_segment)
        facts = describe(model) | _unidentified(found.arch, upstream, layout, choices, source)
    facts |= {"status": "converted", "labels": known.model_dump(mode="json") if known else None}
    return save_checkpoint(folder, facts, state, names)


def _unidentified(arch: str, upstream: Upstream, layout: str, choices: Choices, source: str) -> dict[str, Any]:
    """What a row says of a file that nobody has vouched for."""
    sources = []
    if source.startswith("https://"):
        sources = [
            {"type": "upstream", "url": source, "layout": layout, "sha256": upstream.sha256, "size": upstream.size}
        ]
    return {
        "name": f"{arch}.{layout}",
        "dataset": choices.dataset or "unknown",
        "sources": sources,
        "origin": {
            "kind": "converted",
            "author": "unknown",
            "note": f"converted from {upstream.path.name}, layout {layout}, sha256 {upstream.sha256}",
        },
        "licence": {"weights": "unstated", "stated_for_weights": False, "redistribute": False},
        "results": [],
    }
