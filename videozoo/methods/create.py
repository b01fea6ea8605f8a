"""An architecture by name: a backbone's own name is its plain baseline, ``method_backbone`` a paper's method on it."""

import inspect
from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import Any

from videozoo.backbones import BACKBONES
from videozoo.errors import SettingError, UnknownNameError
from videozoo.methods import METHODS
from videozoo.training.recognizer import ActionRecognizer

KINETICS_CLASSES = 400
BASELINES = ("tsn", "tsm", "x3d")


def create_model(arch: str, num_classes: int | None = None, **hyperparameters: Any) -> ActionRecognizer:
    """A fresh network, with random weights unless ``pretrained`` says otherwise; without ``num_classes``, 400.

    ``arch`` is one of ``list_architectures()``; the hyperparameters are those of the method's constructor.

    Raises:
        UnknownNameError: when no architecture has that name; the text names the nearest.
        SettingError: when the method has no such hyperparameter; the text names those it has.
    """
    method, backbone = parse_architecture(arch)
    allowed = list(inspect.signature(METHODS[method].__init__).parameters)[3:]
    for name in hyperparameters:
        if name not in allowed:
            raise SettingError(f"{arch}: unknown hyperparameter {name!r}, allowed are {', '.join(allowed)}")
    classes = KINETICS_CLASSES if num_classes is None else num_classes
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 1:
        raise SettingError(f"{arch}: num_classes {classes!r} must be a whole number of at least 1")
    build: Callable[..., ActionRecognizer] = METHODS[method]
    return build(backbone, classes, **hyperparameters)


def parse_architecture(arch: str) -> tuple[str, str]:
    """The method and the backbone of an architecture's name.

    Raises:
        UnknownNameError: when they are no registered names.
        SettingError: when the method cannot work with the backbone.
    """
    if arch in BACKBONES:
        return baseline_of(arch), arch
    for method in METHODS:
        backbone = arch.removeprefix(f"{method}_")
        if method not in BASELINES and backbone != arch and backbone in BACKBONES:
            if not takes(method, backbone):
                raise SettingError(f"{arch}: {method} takes the backbones {', '.join(METHODS[method].backbones)}")
            return method, backbone
    raise UnknownNameError("architecture", arch, list_architectures())


def baseline_of(backbone: str) -> str:
    """The plain method (TSN, TSM or X3D) whose network is this backbone and the mean over time."""
    for method in BASELINES:
        if takes(method, backbone):
            return method
    raise UnknownNameError("plain baseline of backbone", backbone, list_architectures())


def takes(method: str, backbone: str) -> bool:
    """Whether a method can work with a backbone."""
    return any(fnmatchcase(backbone, pattern) for pattern in METHODS[method].backbones)


def list_architectures() -> list[str]:
    """Every name that create_model takes, sorted."""
    methods = [method for method in METHODS if method not in BASELINES]
    pairs = [(method, backbone) for method in methods for backbone in BACKBONES if takes(method, backbone)]
    return sorted([*BACKBONES, *(f"{method}_{backbone}" for method, backbone in pairs)])
