"""Fuzz of the manifest parser: any bytes give a manifest, or one ManifestError of one line that names the file.

python tests/fuzz/manifest_parser.py --minutes 10      (needs the extra `fuzz`)
"""

import json
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import atheris
import yaml
from search import Target, main

with atheris.instrument_imports(include=["videozoo.hub", "videozoo.clip_spec", "yaml"]):
    from videozoo.errors import ManifestError
    from videozoo.hub.manifest import manifest_path, read_manifest, read_row
    from videozoo.hub.plain_yaml import read_plain_yaml
    from videozoo.hub.row_text import row_as_yaml

LONGEST = 20_000  # bytes
VALUES = (
    None, True, False, 0, -1, 1, 3, 10**9, 10**30, 0.5, -0.0, 1e308, float("inf"), float("nan"), "", " ", "a", "yes",
    "1", "released", "withdrawn", "dense", "x3d_s.some", "a/b", "0" * 40, "0" * 64, "https://a.b/c", "http://[",
    "\u2028", "\U0001f600", "\x85", [], [[]], {}, {"": None}, {"type": "package", "path": "a"},
    {"type": "upstream", "url": "http://a.b", "layout": "x"},
)  # fmt: skip
WORDS = (
    b"schema: checkpoints: name: status: arch: method: clip_spec: files: sources: origin: licence: labels: cost: "
    b"results: !!binary !!set !!timestamp & * << |- >+ --- ... %YAML \xef\xbb\xbf \xe2\x80\xa8 2024-02-30 0x_ "
    b"1:60:60 .inf"
).split()

CASE = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)) / "case.yaml"


def seeds() -> Iterator[tuple[str, bytes]]:
    """Rows of every status and kind of source as they are, and as config.json; some YAML that is no manifest."""
    rows = read_plain_yaml(manifest_path())["checkpoints"]
    different = {
        (row["status"], row["dataset"], tuple(source["type"] for source in row["sources"])): row for row in rows
    }
    for place, row in enumerate(different.values()):
        yield f"row_{place}.yaml", b"schema: 1\ncheckpoints:\n" + row_as_yaml(row).encode()
        yield f"row_{place}.json", json.dumps(row, default=str).encode()
    yield "merge.yaml", b"a: {<<: {b: 1}, b: 2}\n? [1, 2]\n: 3\n"
    yield "text.yaml", b'a: |\n  b\nc: "\\x41\\u263a"\n---\nd: 2001-12-14t21:59:43.10-05:00\n'


def check(data: bytes) -> None:
    """Read it as a manifest and as a row; what is read must be written and read again unchanged."""
    CASE.write_bytes(data)
    for read in (read_manifest, read_row):
        try:
            found = read(CASE)
        except ManifestError as error:
            text = str(error)
            assert text.startswith(f"{CASE}"), text
            assert len(text.splitlines()) == 1, text
            assert len(text) < 1000, text
            continue
        rows = [found] if read is read_row else found.checkpoints
        CASE.write_text(
            "schema: 1\ncheckpoints:\n" + "".join(map(row_as_yaml, rows)) + "  []" * (not rows), encoding="utf-8"
        )
        assert read_manifest(CASE).checkpoints == tuple(rows)
        CASE.write_bytes(data)


def mutate(data: bytes, longest: int, seed: int) -> bytes:
    """Half of the time a change of the tree that the text stands for, else libFuzzer's changes of bytes."""
    draws = random.Random(seed)
    if draws.random() < 0.5:
        return atheris.Mutate(data, longest)
    try:
        tree = [yaml.load(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))]
        for _ in range(draws.choice((1, 1, 2, 4))):
            _change(draws, tree)
        text = json.dumps(tree[0], default=str) if draws.random() < 0.3 else yaml.safe_dump(tree[0], sort_keys=False)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, AttributeError):  # no tree, or none to be written
        return atheris.Mutate(data, longest)
    return text.encode("utf-8", "surrogatepass")[:longest]


def _change(draws: random.Random, tree: list[Any]) -> None:
    """Replace, remove, copy or rename one place of the tree."""
    places = list(_places(tree))
    part, key = draws.choice(places)
    kind = draws.randrange(4)
    if kind == 0 or part is tree:
        part[key] = draws.choice(VALUES)
    elif kind == 1:
        del part[key]
    elif kind == 2:
        other, place = draws.choice(places)
        part[key] = json.loads(json.dumps(other[place], default=str))
    elif isinstance(part, dict):
        part[draws.choice([name for other, name in places if isinstance(other, dict)])] = part.pop(key)


def _places(part: Any) -> Iterator[tuple[Any, Any]]:
    """Every place of a tree: the container and the key or number in it."""
    for key, value in list(part.items() if isinstance(part, dict) else enumerate(part)):
        yield part, key
        if isinstance(value, dict | list):
            yield from _places(value)


if __name__ == "__main__":
    sys.exit(main(Target(check, seeds, LONGEST, WORDS, mutate)))
