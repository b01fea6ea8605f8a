"""Recipes: the papers' settings as YAML files that build on one another.

A recipe names others in ``base``, one or a list, and holds what differs: mappings are merged, all else is replaced.
``variants`` hold what differs from the rest of their own file; ``method/name:variant`` is a recipe like any other.
Files in a folder ``parts`` are there to be built on. Names are paths below this package's ``recipes`` folder, or files.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from videozoo.errors import SettingError, UnknownNameError

FOLDER = Path(__file__).parents[1] / "recipes"
NOT_RECIPES = ("parts", "experiments")
ENDING = ".yaml"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it was built

# What a recipe may hold. ``reported`` are the papers' figures, never ours: {table, value, metric, note}. ``fuse`` are
# the recipes whose scores are averaged, {name: weight}, for `videozoo fuse`.
KEYS = ("title", "paper", "reported", "notes", "seed_everything", "start", "model", "clip", "data", "trainer", "fuse")
OWN_KEYS = (*KEYS, "base", "variants")


def list_recipes() -> list[str]:
    """Names of the recipes that come with the package, their variants among them."""
    return sorted(_names())


def _names() -> Iterator[str]:
    for path in FOLDER.rglob(f"*{ENDING}"):
        relative = path.relative_to(FOLDER).with_suffix("")
        if relative.parts[0] not in NOT_RECIPES:
            yield relative.as_posix()
            for variant in _load(path).get("variants", {}):
                yield f"{relative.as_posix()}:{variant}"


def read_recipe(name: str) -> dict[str, Any]:
    """A recipe with all that it builds on, its variant chosen.

    Raises:
        UnknownNameError: when there is none of that name.
        SettingError: when a file is no recipe; the text names the file, the field and the allowed ones.
    """
    return _read(name, Path(), ())


def _read(name: str, beside: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    path, variant = _find(name, beside)
    if path in seen:
        raise SettingError(f"{path}: builds on itself, through {' and '.join(map(str, seen[1:])) or 'its base'}")
    own = _load(path)
    variants = own.pop("variants", {})
    bases = own.pop("base", [])
    recipe: dict[str, Any] = {}
    for base in [bases] if isinstance(bases, str) else bases:
        inherited = _read(base, path.parent, (*seen, path))
        told = ("title", "reported", "notes", "fuse")  # of another setting
        recipe = merge(recipe, {key: value for key, value in inherited.items() if key not in told})
    recipe = merge(recipe, own)
    if variant is not None:
        if variant not in variants:
            raise UnknownNameError(f"variant of {path.stem}", variant, variants)
        changed = {
            **variants[variant],
            "title": f"{recipe.get('title', name)}: {variants[variant].get('title', variant)}",
        }
        recipe = merge({key: value for key, value in recipe.items() if key not in ("reported", "fuse")}, changed)
    return recipe


def _find(name: str, beside: Path) -> tuple[Path, str | None]:
    """The file and the variant of a name."""
    file, _, variant = name.partition(":") if not Path(name).is_file() else (name, "", "")
    for path in (Path(file), beside / file, beside / f"{file}{ENDING}", FOLDER / f"{file}{ENDING}"):
        if path.is_file():
            return path, variant or None
    raise UnknownNameError("recipe", name, list_recipes())


def _load(path: Path) -> dict[str, Any]:
    return dict(_parse(path, path.stat().st_mtime_ns))


@cache
def _parse(path: Path, _written: int) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=LOADER)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise SettingError(f"{path}: a recipe is a mapping of {', '.join(OWN_KEYS)}")
    _check_keys(content, OWN_KEYS, path)
    for variant, changed in content.get("variants", {}).items():
        _check_keys(changed, KEYS, f"{path}, variant {variant}")
    return content


def _check_keys(content: Mapping[str, Any], allowed: tuple[str, ...], where: Path | str) -> None:
    for key in content:
        if key not in allowed:
            raise SettingError(f"{where}: unknown field {key!r}, allowed are {', '.join(allowed)}")


def merge(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Both, mappings within merged alike; where both name something else, ``more`` counts."""
    merged = dict(base)
    for key, value in more.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged
