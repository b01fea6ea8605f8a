"""A model as the command line names one: a checkpoint with its weights, or a bare architecture."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from videozoo.training.recognizer import ActionRecognizer


def load_or_create(name: str) -> "ActionRecognizer":
    """The checkpoint, folder or hub repository of that name; an architecture's own name gives random weights."""
    from videozoo import create_model, load_model
    from videozoo.methods.create import list_architectures

    return create_model(name).eval() if name in list_architectures() else load_model(name)
