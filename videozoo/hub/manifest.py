"""The manifest: which checkpoints there are. Imports no torch, so that listing is quick."""

from fnmatch import fnmatchcase
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from videozoo.errors import ManifestError, SettingError, UnknownNameError
from videozoo.hub.plain_yaml import read_plain_yaml, read_text, to_json
from videozoo.hub.schema import Checkpoint, Manifest, Row, Status

MANIFEST_NAME = "checkpoints_manifest.yaml"
STATUSES: tuple[Status, ...] = ("planned", "converted", "released", "withdrawn")

RowType = TypeVar("RowType", bound=Row)


def manifest_path() -> Path:
    """The manifest of this package: inside an installed one, beside an editable one."""
    package = Path(str(files("videozoo")))
    inside = package / MANIFEST_NAME
    return inside if inside.is_file() else package.parent / MANIFEST_NAME


def read_manifest(path: str | Path | None = None) -> Manifest:
    """Read and check a manifest file; without a path, this package's own.

    Raises:
        ManifestError: one line with the file, the row and the field that are wrong.
    """
    return _own_manifest() if path is None else _parse(Path(path))


@lru_cache(maxsize=1)
def _own_manifest() -> Manifest:
    return _parse(manifest_path())


def _parse(path: Path) -> Manifest:
    values = read_plain_yaml(path)
    try:
        return Manifest.model_validate_json(to_json(values))
    except ValidationError as error:
        raise ManifestError(_one_line(path, error, _row_names(values))) from error


def read_row(path: Path) -> Checkpoint:
    """The row of one checkpoint from its config.json.

    Raises:
        ManifestError: one line with the file and the field that are wrong.
    """
    try:
        return Checkpoint.model_validate_json(read_text(path))
    except ValidationError as error:
        raise ManifestError(_one_line(path, error, ())) from error


def list_models(
    pattern: str = "*",
    *,
    pretrained: bool = True,
    dataset: str | None = None,
    method: str | None = None,
    status: Status | None = None,
) -> list[str]:
    """Names of checkpoints that match a pattern such as ``x3d*``, sorted.

    Without ``status`` all but withdrawn ones; a planned one has to be converted once (`videozoo convert NAME`). With
    ``pretrained=False`` the architectures instead, which create_model takes.

    Raises:
        SettingError: for an unknown status, data set or method.
    """
    if not pretrained:
        from videozoo.methods.create import list_architectures, parse_architecture

        names = [name for name in list_architectures() if fnmatchcase(name, pattern)]
        return [name for name in names if method is None or parse_architecture(name)[0] == method]
    return [row.name for row in select_rows(read_manifest(), pattern, dataset=dataset, method=method, status=status)]


def select_rows(
    manifest: Manifest,
    pattern: str = "*",
    *,
    dataset: str | None = None,
    method: str | None = None,
    status: Status | None = None,
) -> list[Checkpoint]:
    """The rows that list_models names, sorted by name."""
    rows = manifest.checkpoints
    for field, value, known in (
        ("status", status, set(STATUSES)),
        ("dataset", dataset, {row.dataset for row in rows}),
        ("method", method, {row.method for row in rows}),
    ):
        if value is not None and value not in known and rows:
            raise SettingError(f"{field} {value!r}: allowed are {', '.join(sorted(known))}")
    chosen = [
        row
        for row in rows
        if fnmatchcase(row.name, pattern)
        and (row.status == status if status else row.status != "withdrawn")
        and dataset in (None, row.dataset)
        and method in (None, row.method)
    ]
    return sorted(chosen, key=lambda row: row.name)


def model_info(name: str) -> Checkpoint:
    """The row of a checkpoint: of this package's manifest by name, or of a folder that holds one.

    Raises:
        UnknownNameError: when there is no such checkpoint; the text names the nearest.
    """
    rows = {row.name: row for row in read_manifest().checkpoints}
    if name not in rows and (Path(name) / "config.json").is_file():
        return read_row(Path(name) / "config.json")
    if name not in rows:
        raise UnknownNameError("checkpoint", name, rows)
    return rows[name]


def embedded_models() -> list[str]:
    """Names of the checkpoints whose weights come with this package."""
    return [row.name for row in read_manifest().checkpoints if any(s.type == "package" for s in row.sources)]


def _row_names(values: object) -> tuple[str, ...]:
    rows = values.get("checkpoints") if isinstance(values, dict) else None
    names = [row.get("name") if isinstance(row, dict) else None for row in rows] if isinstance(rows, list) else []
    return tuple(_joined(name)[:100] for name in names)


def _joined(value: object) -> str:
    """The words of a text in one line, whatever separates them."""
    return " ".join(str(value).split())


def _one_line(path: Path, error: ValidationError, names: tuple[str, ...]) -> str:
    """Where, which row, which field, what is wrong and what was found."""
    first = error.errors(include_url=False)[0]
    place = list(first["loc"])
    where = f"{path}"
    if len(place) > 1 and place[0] == "checkpoints" and isinstance(place[1], int):
        where += f", row {place[1] + 1} ({names[place[1]] if place[1] < len(names) else '?'})"
        place = place[2:]
    field = ".".join(_joined(part) for part in place)
    found = _joined(repr(first["input"]))[:80]
    message = _joined(first["msg"].removeprefix("Value error, "))[:400]
    more = f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""
    shown = f", found {found}" if field and first["type"] != "missing" else ""
    return f"{where}{', field ' + field if field else ''}: {message}{shown}{more}"
