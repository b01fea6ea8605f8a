"""A training run's own checkpoint (.ckpt, of Lightning) as a model that save_model can write."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from videozoo.clip_spec import ClipSpec
from videozoo.errors import CheckpointError
from videozoo.hub.build import WithoutDrawing, fill
from videozoo.hub.describe import NOT_STORED
from videozoo.hub.upstream import unpickle
from videozoo.methods import METHODS
from videozoo.training.recognizer import ActionRecognizer

NETWORK = "network."


def is_training_run(path: Path) -> bool:
    """Whether the name says that it is a checkpoint of a training run."""
    return path.suffix == ".ckpt"


def read_training_run(path: Path) -> tuple[ActionRecognizer, str | None]:
    """The model of a run, in eval mode, and the checkpoint that its training started from, if it did.

    Raises:
        CheckpointError: when the file is no checkpoint of a run with this package, or does not fit its method.
    """
    content = unpickle(path)
    facts = content.get("videozoo") if isinstance(content, Mapping) else None
    if not isinstance(facts, Mapping) or not isinstance(content.get("state_dict"), Mapping):
        raise CheckpointError(f"{path}: no checkpoint of a training run with videozoo")
    method = next((kind for kind in METHODS.values() if kind.__name__ == facts.get("method")), None)
    if method is None:
        raise CheckpointError(f"{path}: unknown method {facts.get('method')!r}")
    hyperparameters = {
        name: value
        for name, value in content.get("hyper_parameters", {}).items()
        if name == "backbone" or name not in NOT_STORED
    }
    model = _build(path, method, hyperparameters)
    state = content["state_dict"]
    fill(model.network, {key.removeprefix(NETWORK): state[key] for key in state if key.startswith(NETWORK)}, str(path))
    model.clip_spec = ClipSpec.from_dict(dict(facts["clip_spec"]))
    model.labels = tuple(facts["labels"])
    return model.eval(), facts.get("base_model")


def _build(path: Path, method: type[ActionRecognizer], hyperparameters: Mapping[str, Any]) -> ActionRecognizer:
    try:
        with WithoutDrawing(), torch.no_grad():
            return method(**hyperparameters)
    except TypeError as error:
        raise CheckpointError(f"{path}: {method.__name__} cannot be built with {dict(hyperparameters)}") from error
