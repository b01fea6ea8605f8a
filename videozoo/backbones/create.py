"""A backbone by name, as every method asks for it."""

from videozoo.backbones import BACKBONES
from videozoo.backbones.base import Backbone
from videozoo.errors import SettingError, UnknownNameError


def create_backbone(
    name: str,
    num_classes: int,
    *,
    in_channels: int = 3,
    dropout: float | None = None,
    pretrained: str | None = None,
) -> Backbone:
    """The entry ``name`` of BACKBONES; ``dropout=None`` leaves the family's own choice.

    Raises:
        UnknownNameError: when there is no such backbone.
        SettingError: when ``pretrained`` names no weights of this backbone, or ``dropout`` is no probability.
    """
    if name not in BACKBONES:
        raise UnknownNameError("backbone", name, BACKBONES)
    if dropout is not None and not 0 <= dropout <= 1:
        raise SettingError(f"dropout {dropout}: must be from 0 to 1")
    chosen = {} if dropout is None else {"dropout": dropout}
    return BACKBONES[name](num_classes, in_channels=in_channels, pretrained=pretrained, **chosen)
