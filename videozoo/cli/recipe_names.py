"""What a recipe may set: the fields of its model, data, clip and trainer, and the classes behind short names."""

import argparse
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from importlib import import_module
from typing import Any

import pytorch_lightning as pl

from videozoo.backbones import BACKBONES
from videozoo.backbones.pretrained import is_file
from videozoo.clip_spec import ClipSpec, Views
from videozoo.data.datamodules import DATA_MODULES, MovingDigits, Shards
from videozoo.errors import SettingError, UnknownNameError
from videozoo.hub.find import Search, find_checkpoint
from videozoo.methods import METHODS
from videozoo.methods.create import parse_architecture
from videozoo.training.optimization import Optimization

DATA: dict[str, type[pl.LightningDataModule]] = {**DATA_MODULES, "moving_digits": MovingDigits, "shards": Shards}
FROM_RECIPE = "recipe:"  # before the name of the recipe whose result a recipe starts from
LINKED = ("self", "clip_spec")  # set by the command itself: data makes the clips that the model wants


def with_classes(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """The recipe with the class path of the model that ``arch`` names, and of the data that ``name`` names.

    Raises:
        UnknownNameError: when there is no such architecture or data module.
        SettingError: when the recipe has neither a name nor a class path for one.
    """
    model, data = dict(recipe.get("model", {})), dict(recipe.get("data", {}))
    if "arch" in model:
        method, backbone = parse_architecture(model.pop("arch"))
        model = {"class_path": _path(METHODS[method]), "init_args": {"backbone": backbone, **model}}
    if "name" in data:
        if data["name"] not in DATA:
            raise UnknownNameError("data module", data["name"], DATA)
        data = {"class_path": _path(DATA[data.pop("name")]), "init_args": data}
    for key, part, short in (("model", model, "arch"), ("data", data, "name")):
        if "class_path" not in part:
            raise SettingError(f"{key}: needs {short} or class_path; found {', '.join(part) or 'nothing'}")
    return {**recipe, "model": model, "data": data}


def with_weights(recipe: Mapping[str, Any], given: Mapping[str, Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """The recipe with the file of weights that it starts from, and with none where a run's checkpoint has them all.

    ``pretrained`` may be a checkpoint of the manifest; what the command line gives (``given``) is left to it.

    Raises:
        SettingError: when another recipe must be run first.
    """
    model = dict(recipe["model"])
    settings = dict(model.get("init_args", {}))
    fresh = arguments.stage == "fit" and arguments.ckpt_path is None
    name = settings.get("pretrained")
    if not fresh or "pretrained" in given.get("model", {}).get("init_args", {}):
        settings.pop("pretrained", None)
    elif name is not None and name.partition(".")[0] in BACKBONES and not is_file(name):
        settings["pretrained"] = str(find_checkpoint(name, Search.of(None, local_files_only=False)).weights)
    start = recipe.get("start")
    if fresh and start is not None and start.startswith(FROM_RECIPE):
        earlier = start.removeprefix(FROM_RECIPE)
        raise SettingError(f"start: goes on from the recipe {earlier}; give what it made, --start FILE.ckpt or FOLDER")
    kept = {key: value for key, value in recipe.items() if key != "start" or (fresh and value not in (None, "none"))}
    return {**kept, "model": {**model, "init_args": settings}}


def check_fields(recipe: Mapping[str, Any]) -> None:
    """Refuse fields that nothing reads, and name those that are read.

    Raises:
        SettingError: for the first unknown field, and where the data's folder is missing.
    """
    for key in ("model", "data"):
        _refuse(key, recipe[key].get("init_args", {}), parameters(_class(recipe[key]["class_path"])))
    optimization = recipe["model"].get("init_args", {}).get("optimization") or {}
    _refuse("model.optimization", optimization, [field.name for field in fields(Optimization)])
    _refuse("clip", recipe.get("clip", {}), [field.name for field in fields(ClipSpec)])
    _refuse("clip.views", recipe.get("clip", {}).get("views") or {}, [field.name for field in fields(Views)])
    _refuse("trainer", recipe.get("trainer", {}), parameters(pl.Trainer))
    if "root" in parameters(_class(recipe["data"]["class_path"])) and "root" not in recipe["data"].get("init_args", {}):
        raise SettingError("data.root: where the videos are, --data.root DIR")


def parameters(kind: type) -> list[str]:
    """What a class is built with, through ``**settings`` what its base is."""
    found: dict[str, None] = {}
    for ancestor in kind.__mro__:
        constructor: Callable[..., Any] | None = ancestor.__dict__.get("__init__")
        if constructor is None:
            continue
        declared = inspect.signature(constructor).parameters
        found |= dict.fromkeys(name for name in declared if declared[name].kind != inspect.Parameter.VAR_KEYWORD)
        if all(parameter.kind != inspect.Parameter.VAR_KEYWORD for parameter in declared.values()):
            break
    return [name for name in found if name not in LINKED]


def _refuse(where: str, given: Iterable[str], allowed: list[str]) -> None:
    for name in given:
        if name not in allowed:
            raise SettingError(f"{where}: unknown field {name!r}, allowed are {', '.join(allowed)}")


def _path(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _class(path: str) -> type:
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingError(f"class_path {path!r}: {error}") from error
