"""Weights that a backbone starts from: ImageNet bodies by timm, or a safetensors file of this package."""

from pathlib import Path

import timm
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from videozoo.backbones.base import Backbone, adapt_first_convolution, inflate_input_channels
from videozoo.errors import CheckpointError, SettingError


def timm_body(architecture: str, *, in_channels: int, pretrained: str | None) -> nn.Module:
    """A timm network without its classifier.

    ``pretrained`` is a tag of this architecture (``tv_in1k``) or timm's full name (``resnet50.tv_in1k``); a file is
    left to ``start_from``. For other than three channels the pretrained first convolution is adapted by
    cross-modality averaging.
    """
    if pretrained is None or is_file(pretrained):
        return timm.create_model(architecture, num_classes=0, in_chans=in_channels)
    name = timm_name(architecture, pretrained)
    try:
        body = timm.create_model(name, num_classes=0, pretrained=True)
    except Exception as error:  # timm and the hub's client raise many kinds, most of them from the network
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"cannot get the weights {name!r} of timm: {reason}") from error
    adapt_input(body, in_channels)
    return body


def timm_name(architecture: str, pretrained: str) -> str:
    """The full timm name of a tag; refuses what timm has no weights for, and weights of another architecture."""
    name = pretrained if "." in pretrained else f"{architecture}.{pretrained}"
    known = timm.list_pretrained(f"{architecture}.*")
    if name not in known:
        tags = ", ".join(full.split(".", 1)[1] for full in known)
        raise SettingError(
            f"pretrained {pretrained!r}: not a .safetensors file nor a timm tag of {architecture}: {tags}"
        )
    return name


def is_file(pretrained: str) -> bool:
    """Whether ``pretrained`` names a safetensors file rather than a tag."""
    return pretrained.endswith(".safetensors")


def start_from(backbone: Backbone, pretrained: str | None, *, by_timm: bool = False) -> None:
    """Load a safetensors file of this package: of this backbone, or of a whole network around it.

    The classifier stays fresh where its shape differs, the first convolution is adapted by cross-modality averaging
    where its input channels differ; anything else that does not fit raises CheckpointError. ``by_timm`` says that what
    is not a file has been loaded already.
    """
    if pretrained is None or (by_timm and not is_file(pretrained)):
        return
    if not is_file(pretrained):
        raise SettingError(f"pretrained {pretrained!r}: this backbone starts from a .safetensors file or from None")
    try:
        state = load_file(Path(pretrained).expanduser())
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{pretrained}: not a readable safetensors file ({error})") from error
    if any(key.startswith("backbone.") for key in state):
        state = {key.removeprefix("backbone."): value for key, value in state.items() if key.startswith("backbone.")}
    own = backbone.state_dict()
    state = {key: _fitted(key, value, own[key]) if key in own else value for key, value in state.items()}
    try:
        backbone.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{pretrained}: {' '.join(str(error).split())[:300]}") from error


def _fitted(key: str, value: Tensor, own: Tensor) -> Tensor:
    """The stored tensor, or what takes its place in a network for other classes or input channels."""
    if value.shape == own.shape:
        return value
    if key.startswith("head.classifier."):
        return own
    if key.startswith("stem.") and value.dim() == own.dim() > 1 and value.shape[0] == own.shape[0]:
        return inflate_input_channels(value, own.shape[1])
    return value


def adapt_input(module: nn.Module, channels: int) -> None:
    """Replace the first convolution, in the order of definition, by one for ``channels`` input channels."""
    for path, part in module.named_modules():
        if isinstance(part, nn.Conv2d | nn.Conv3d):
            parent, _, name = path.rpartition(".")
            setattr(module.get_submodule(parent), name, adapt_first_convolution(part, channels))
            return
    raise TypeError(f"{type(module).__name__} has no convolution")
