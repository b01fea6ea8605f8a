"""Which layout a state dict has, and which of our architectures it fills: by names and shapes alone."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from videozoo.errors import CheckpointError, SettingError, UnknownNameError
from videozoo.hub.build import WithoutDrawing
from videozoo.hub.layouts import LAYOUTS
from videozoo.methods.create import create_model, list_architectures, parse_architecture

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101")
X3DS = ("x3d_xs", "x3d_s", "x3d_m", "x3d_l")


@dataclass(frozen=True)
class Family:
    """Architectures that a layout can hold, what their method is built with there, and what only a choice can tell.

    ``observe`` reads hyperparameters off the names; ``variants`` are values that neither names nor shapes give away.
    """

    architectures: tuple[str, ...]
    observe: Callable[[Collection[str]], dict[str, Any]] = field(default=lambda keys: {})
    variants: tuple[Mapping[str, Any], ...] = ({},)


def pools_keys(keys: Collection[str]) -> dict[str, Any]:
    """Non-local blocks that pool their keys and values have a Sequential where others have a convolution."""
    return {"subsample": any(".g.0." in key for key in keys)}


def authors_chain(keys: Collection[str]) -> dict[str, Any]:
    """The released region-based networks have one gate."""
    return {"chain": "authors" if any(".cg." in key for key in keys) else "none"}


FRAME_WISE = tuple(f"{kind}_{name}" for name in RESNETS for kind in ("tsm", "tsn"))
BOTTLENECKS = ("tsm_resnet50", "tsm_resnet101")
FAMILIES: dict[str, Family] = {
    "tsm_mit": Family(FRAME_WISE),
    "tsm_mit_mobilenet_v2": Family(("tsm_mobilenet_v2",)),
    "tsm_mit_non_local": Family(tuple(f"nl_{name}" for name in BOTTLENECKS), pools_keys),
    "rnl": Family(tuple(f"rnl_{name}" for name in BOTTLENECKS), authors_chain),
    "bqn_resnet": Family(("bqn_tsm_resnet50",)),
    "bqn_x3d": Family(("bqn_x3d_m",)),
    "mmaction2_resnet": Family(FRAME_WISE),
    "mmaction2_mobilenet_v2": Family(("tsm_mobilenet_v2",)),
    "mmaction2_non_local": Family(
        tuple(f"nl_{name}" for name in BOTTLENECKS),
        pools_keys,
        tuple({"form": form} for form in ("embedded_gaussian", "dot", "gaussian", "concatenation")),
    ),
    "pytorchvideo_x3d": Family(X3DS),
    "pyslowfast_x3d": Family(X3DS),
    "mmaction2_x3d": Family(X3DS),
    "torchvision_resnet": Family(tuple(f"tsn_{name}" for name in RESNETS)),
    "bn_inception": Family(("bn_inception",)),
    "inception_resnet_v2": Family(("inception_resnet_v2",)),
}


@dataclass(frozen=True)
class Fit:
    """An architecture with its hyperparameters, and the tensors under its network's names."""

    arch: str
    hyperparameters: dict[str, Any]
    state: dict[str, Tensor]

    @property
    def num_classes(self) -> int:
        """Rows of the classifier."""
        return int(self.hyperparameters["num_classes"])


def recognise_layout(state: Mapping[str, Tensor], layout: str | None = None) -> str:
    """The name of the layout, or the one that is asked for.

    Raises:
        UnknownNameError: when the one asked for does not exist.
        CheckpointError: when none, or more than one, recognises the names.
    """
    if layout is not None:
        if layout not in LAYOUTS:
            raise UnknownNameError("layout", layout, LAYOUTS)
        return layout
    found = [name for name, entry in LAYOUTS.items() if entry.recognise(state.keys())]
    if len(found) == 1:
        return found[0]
    if found:
        raise CheckpointError(f"several layouts have such names; say which with --layout: {', '.join(found)}")
    shown = ", ".join(list(state)[:3])
    raise CheckpointError(f"no known layout has names like {shown}; known: {', '.join(LAYOUTS)}")


def find_fit(
    state: Mapping[str, Tensor],
    layout: str,
    *,
    arch: str | None = None,
    frames: int | None = None,
    hyperparameters: Mapping[str, Any] | None = None,
) -> Fit:
    """The one architecture that these tensors fill; ``frames`` a clip tells X3Ds of equal shapes apart.

    Raises:
        SettingError: when several fit; the text names them.
        CheckpointError: when none does; the text says what is wrong with the last one tried.
    """
    family = FAMILIES.get(layout, Family(tuple(list_architectures())))
    given = {**family.observe(state.keys()), **(hyperparameters or {})}
    fits, problem = [], CheckpointError(f"layout {layout} has no architectures")
    for candidate in (arch,) if arch else family.architectures:
        for variant in family.variants:
            if any(given.get(name, value) != value for name, value in variant.items()):
                continue
            try:
                fits.append(fit(state, layout, candidate, {**variant, **given}))
            except CheckpointError as error:
                problem = error
    if not fits:
        raise problem
    if len(fits) > 1 and frames is not None:
        fits = [one for one in fits if _frames_of(one.arch) == frames] or fits
    if len(fits) > 1:
        raise SettingError(_ask(fits))
    return fits[0]


def _ask(fits: Sequence[Fit]) -> str:
    archs = list(dict.fromkeys(one.arch for one in fits))
    if len(archs) > 1:
        return f"{', '.join(archs)} have equal shapes; say which it is with --arch, e.g. --arch {archs[0]}"
    name = next(name for name in fits[0].hyperparameters if len({str(one.hyperparameters[name]) for one in fits}) > 1)
    values = [one.hyperparameters[name] for one in fits]
    return (
        f"{archs[0]} with {name} {', '.join(values)} has equal shapes; say which it is, e.g. --set {name}={values[0]}"
    )


def fit(state: Mapping[str, Tensor], layout: str, arch: str, hyperparameters: Mapping[str, Any]) -> Fit:
    """The tensors as those of one architecture's network, every one of them used and none missing.

    Raises:
        CheckpointError: when they do not fit.
    """
    _, backbone = parse_architecture(arch)
    renamed = {key: _as_float32(key, value) for key, value in LAYOUTS[layout].rename(state, backbone).items()}
    chosen = dict(hyperparameters) | {"num_classes": _num_classes(renamed)}
    own = _shapes(arch, chosen)
    prefix = "backbone." if any(key.startswith("backbone.") for key in own) else ""
    named = {f"{prefix}{key}": value for key, value in renamed.items()}
    channels = _other_input_channels(own, named)
    if channels is not None:
        chosen["in_channels"] = channels
        own = _shapes(arch, chosen)
    for key in own:
        if key.endswith("num_batches_tracked") and key not in named:  # torch before 0.4.1 did not count
            named[key] = torch.zeros((), dtype=torch.int64)
    _compare(arch, own, named)
    return Fit(arch, chosen, named)


def _compare(arch: str, own: Mapping[str, Tensor], named: Mapping[str, Tensor]) -> None:
    missing, extra = sorted(own.keys() - named.keys()), sorted(named.keys() - own.keys())
    if missing or extra:
        raise CheckpointError(
            f"not {arch}: {len(missing)} of its tensors are missing {missing[:2]}, "
            f"{len(extra)} of the file's are left over {extra[:2]}"
        )
    for key, value in named.items():
        if value.shape != own[key].shape or value.is_floating_point() != own[key].is_floating_point():
            raise CheckpointError(
                f"not {arch}: {key} is {tuple(value.shape)} of {value.dtype}, "
                f"expected {tuple(own[key].shape)} of {own[key].dtype}"
            )


def _as_float32(key: str, value: Tensor) -> Tensor:
    """Half precision is widened; whatever else is neither float32 nor a count is no weight."""
    if value.dtype in (torch.float16, torch.bfloat16):
        return value.float()
    if value.dtype not in (torch.float32, torch.int64):
        raise CheckpointError(f"{key} is of {value.dtype}; weights are float32 or half precision")
    return value


def _num_classes(renamed: Mapping[str, Tensor]) -> int:
    for key, value in renamed.items():
        if key.endswith(("classifier.weight", "classifiers.0.weight")) and value.dim() == 2:
            return len(value)
    raise CheckpointError("no classifier among the tensors: this is a network's body alone")


def _shapes(arch: str, hyperparameters: Mapping[str, Any]) -> dict[str, Tensor]:
    """The architecture's state dict without memory behind it."""
    with torch.device("meta"), WithoutDrawing():
        return create_model(arch, **hyperparameters).network.state_dict()


def _other_input_channels(own: Mapping[str, Tensor], named: Mapping[str, Tensor]) -> int | None:
    """Channels of the first convolution, where it reads another number than the three of RGB."""
    for key, ours in own.items():
        theirs = named.get(key)
        if ".stem." in key and ours.dim() >= 4 and ours.shape[1] == 3 and theirs is not None and theirs.shape[1] != 3:
            return int(theirs.shape[1])
    return None


def _frames_of(arch: str) -> int:
    with torch.device("meta"), WithoutDrawing():
        return create_model(arch, 2).clip_spec.frames
