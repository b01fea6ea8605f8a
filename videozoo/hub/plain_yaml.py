"""YAML that is data and nothing else: no tags, no anchors, no repeated keys, no depth or size without end."""

import json
from pathlib import Path
from typing import Any

import yaml

from videozoo.errors import ManifestError

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 16

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times faster, where libyaml is there


def read_plain_yaml(path: Path) -> Any:
    """What the file holds, in dicts, lists and scalars.

    Raises:
        ManifestError: when it cannot be read, is no YAML, or uses more of YAML than plain data.
    """
    text = read_text(path)
    try:
        _refuse_extras(text, path)
        return yaml.load(text, Loader=_PlainLoader)
    except yaml.MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ManifestError(f"{path}{where}: {error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a scalar such as a date of the 35th of May
        raise ManifestError(f"{path}: {' '.join(str(error).split())}") from error


def read_text(path: Path) -> str:
    """The text of a file that must not be large.

    Raises:
        ManifestError: when it is missing, larger than 4 MiB, or not UTF-8.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise ManifestError(f"{path}: {error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise ManifestError(f"{path}: larger than {MAX_BYTES} bytes, which no manifest needs")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from error


def to_json(values: Any) -> str:
    """The same data as JSON text; dates become text."""
    return json.dumps(values, default=str, ensure_ascii=False)


def _refuse_extras(text: str, path: Path) -> None:
    """Walk over the events, which cost no memory, before anything is built from them."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ManifestError(f"{path}, line {line}: anchors and aliases (& and *) are not allowed")
        tag = getattr(event, "tag", None)
        if tag:
            raise ManifestError(f"{path}, line {line}: tags (!) are not allowed, found {tag!r}")
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ManifestError(f"{path}, line {line}: nested deeper than {MAX_DEPTH} levels")


class _PlainLoader(_Loader):
    """The safe loader, which by itself would let the last of two equal keys win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        if len(mapping) < len(node.value):
            seen = [key.value for key, _ in node.value]
            repeated = next(key for key in seen if seen.count(key) > 1)
            raise yaml.constructor.ConstructorError(None, None, f"repeated key {repeated!r}", node.start_mark)
        return mapping
