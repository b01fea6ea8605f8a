"""Networks that turn clips into features and scores; one file a family."""

from collections.abc import Callable

from videozoo.backbones.base import Backbone

BACKBONES: dict[str, Callable[..., Backbone]] = {}
