"""Efficient CNN video models: load by name, predict a raw video, fine-tune on a folder, publish to a hub.

Everything here is imported on first use, so that ``import videozoo`` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from videozoo.hub.load import load_model as load_model
    from videozoo.hub.manifest import list_models as list_models
    from videozoo.hub.manifest import model_info as model_info
    from videozoo.hub.package import save_model as save_model
    from videozoo.hub.publish import publish_model as publish_model
    from videozoo.inference.predict import predict as predict
    from videozoo.methods.create import create_model as create_model

# Names as text keep the layers apart: here is the one place where the hub, inference and the methods meet.
_HOME = {
    "load_model": "videozoo.hub.load",
    "list_models": "videozoo.hub.manifest",
    "model_info": "videozoo.hub.manifest",
    "publish_model": "videozoo.hub.publish",
    "save_model": "videozoo.hub.package",
    "predict": "videozoo.inference.predict",
    "create_model": "videozoo.methods.create",
}

__all__ = [
    "__version__",
    "create_model",
    "list_models",
    "load_model",
    "model_info",
    "predict",
    "publish_model",
    "save_model",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'videozoo' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
