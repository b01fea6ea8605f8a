"""What a row can say about a model by looking at it: architecture, hyperparameters, input, cost."""

from collections.abc import Mapping
from typing import Any

from videozoo.errors import SettingError
from videozoo.evaluation.cost import count_cost
from videozoo.methods import METHODS
from videozoo.methods.create import BASELINES
from videozoo.training.recognizer import ActionRecognizer

# Where a new network starts from and how it is trained belongs to a training run, not to finished weights.
NOT_STORED = ("backbone", "pretrained", "optimization")


def describe(model: ActionRecognizer) -> dict[str, Any]:
    """The fields arch, method, hyperparameters, clip_spec and cost of a row, as plain values.

    Raises:
        SettingError: when the model is of no registered method, or keeps hyperparameters that are no plain values.
    """
    method = next((name for name, kind in METHODS.items() if type(model) is kind), None)
    if method is None:
        raise SettingError(f"{type(model).__name__} is no registered method; known: {', '.join(METHODS)}")
    hyperparameters = {name: plain(value) for name, value in model.hparams.items() if name not in NOT_STORED}
    backbone = model.hparams["backbone"]
    return {
        "arch": backbone if method in BASELINES else f"{method}_{backbone}",
        "method": method,
        "hyperparameters": hyperparameters | {"num_classes": model.num_classes},
        "clip_spec": model.clip_spec.to_dict(),
        "cost": describe_cost(model),
    }


def describe_cost(model: ActionRecognizer) -> dict[str, Any]:
    """Parameters and multiply-adds of the network on the clip of its ClipSpec."""
    spec = model.clip_spec
    cost = count_cost(model.network, (1, *clip_shape(model)))
    frames = spec.segments if spec.modality == "flow" else spec.frames
    return {"params": cost.parameters, "gmacs": round(cost.macs / 1e9, 4), "clip": [frames, spec.size, spec.size]}


def clip_shape(model: ActionRecognizer) -> tuple[int, int, int, int]:
    """A clip that the network takes, (T, C, H, W).

    With ``in_channels`` of flow that is the fields of every segment already stacked, otherwise what its ClipSpec reads.
    """
    spec, channels = model.clip_spec, model.hparams.get("in_channels")
    frames = spec.segments if channels and spec.modality == "flow" else spec.frames
    return frames, channels or len(spec.mean), spec.size, spec.size


def plain(value: Any) -> Any:
    """A hyperparameter as a row holds it.

    Raises:
        SettingError: when it is neither a scalar, nor a list, nor values by name, of scalars or lists of them.
    """
    if isinstance(value, Mapping):
        return {str(name): _scalars(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_scalars(inner) for inner in value]
    return _scalars(value)


def _scalars(value: Any) -> Any:
    """A scalar, or a list of scalars."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple) and all(
        item is None or isinstance(item, bool | int | float | str) for item in value
    ):
        return list(value)
    raise SettingError(f"hyperparameter {value!r} is neither a scalar nor a list of scalars")
