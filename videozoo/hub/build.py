"""The network of a manifest row, filled with the row's tensors and with nothing else."""

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from videozoo.errors import CheckpointError, VideozooError
from videozoo.hub.schema import Checkpoint
from videozoo.methods.create import create_model
from videozoo.training.recognizer import ActionRecognizer

# What torch.nn.init and the layers of torch draw with; the functions are seen whole, not by their parts.
DRAWS = {Tensor.normal_, Tensor.uniform_, nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_}


def build_model(
    row: Checkpoint, state: dict[str, Tensor], *, num_classes: int | None = None, fresh_classifier: bool = False
) -> ActionRecognizer:
    """The model of a row in eval mode; ``state`` are the tensors of its ``network``.

    With another ``num_classes`` the classifier is drawn afresh, which a warning says; with ``fresh_classifier`` it is
    for as many, too.

    Raises:
        CheckpointError: when the architecture cannot be built, or a tensor is missing, left over or of another shape.
    """
    classes = row.num_classes if num_classes is None else num_classes
    if classes == row.num_classes and not fresh_classifier:
        with WithoutDrawing():
            model = _create(row, classes)
    else:
        model = _create(row, classes)
        state = _with_fresh_classifier(model.network, state, row, classes)
    fill(model.network, state, row.name)
    return model.eval()


def fill(network: nn.Module, state: dict[str, Tensor], name: str) -> None:
    """Make the tensors of ``state`` those of the network: each of them used, none of the network's own left.

    Raises:
        CheckpointError: in one line, when they do not fit.
    """
    own = network.state_dict()
    for problem, keys in (("misses", own.keys() - state.keys()), ("has no place for", state.keys() - own.keys())):
        if keys:
            shown = ", ".join(sorted(keys)[:3]) + (" ..." if len(keys) > 3 else "")
            holder = "the file" if problem == "misses" else "the network"
            raise CheckpointError(f"{name}: {holder} {problem} {len(keys)} tensors: {shown}")
    for key, value in state.items():
        if value.shape != own[key].shape or value.dtype != own[key].dtype:
            raise CheckpointError(
                f"{name}: tensor {key} is {tuple(value.shape)} of {value.dtype}, "
                f"the network's {tuple(own[key].shape)} of {own[key].dtype}"
            )
    network.load_state_dict(state, assign=True)


class WithoutDrawing(TorchFunctionMode):
    """Inside, nothing is drawn at random: parameters that are filled afterwards need no values before.

    Holds for this thread only. Whatever else a constructor computes, fixed buffers among it, is computed as usual.
    """

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if function in DRAWS:
            return args[0] if args else kwargs["tensor"]
        return function(*args, **kwargs)


def _create(row: Checkpoint, classes: int) -> ActionRecognizer:
    hyperparameters = {name: value for name, value in row.hyperparameters.items() if name != "num_classes"}
    try:
        return create_model(row.arch, classes, **hyperparameters)
    except VideozooError:
        raise
    except (TypeError, ValueError, KeyError, RuntimeError, AssertionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{row.name}: {row.arch} cannot be built with {hyperparameters}: {reason}") from error


def _with_fresh_classifier(
    network: nn.Module, state: dict[str, Tensor], row: Checkpoint, classes: int
) -> dict[str, Tensor]:
    """The state with the network's own, freshly drawn tensors where the number of classes is part of the shape."""
    own = network.state_dict()
    if classes == row.num_classes:
        with WithoutDrawing():
            more = _create(row, classes + 1).network.state_dict()
        fresh = {key for key in state if key in own and key in more and own[key].shape != more[key].shape}
    else:
        fresh = {key for key, value in state.items() if key in own and _same_but_classes(value, own[key], row, classes)}
    if not fresh:
        raise CheckpointError(f"{row.name}: no tensor depends on the number of classes; it cannot become {classes}")
    names = ", ".join(sorted(fresh))
    warnings.warn(f"{row.name}: {row.num_classes} classes become {classes}, drawn afresh: {names}", stacklevel=4)
    return {key: own[key] if key in fresh else value for key, value in state.items()}


def _same_but_classes(old: Tensor, new: Tensor, row: Checkpoint, classes: int) -> bool:
    expected = torch.Size((row.num_classes, *new.shape[1:])), torch.Size((classes, *old.shape[1:]))
    return old.dim() > 0 and old.shape != new.shape and (old.shape, new.shape) == expected
