"""What one upstream layout of weights is: how to know it, how to rename it, what is left out on purpose."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from videozoo.errors import CheckpointError

StateDict = dict[str, Tensor]
Rule = tuple[str, str | Callable[[re.Match[str]], str]]


@dataclass(frozen=True)
class Layout:
    """A family of upstream checkpoints, seen as the state dict inside their container, prefixes included.

    ``recognise`` looks at the keys only. ``rename`` takes the upstream tensors and the name of a backbone and gives
    the state dict of that backbone, complete if the checkpoint is; a key that it neither knows nor drops raises
    CheckpointError. ``dropped`` are patterns of the whole upstream keys that are left out on purpose.
    """

    name: str
    recognise: Callable[[Collection[str]], bool]
    rename: Callable[[Mapping[str, Tensor], str], StateDict]
    dropped: tuple[str, ...] = ()


def rename_keys(state: Mapping[str, Tensor], rules: Sequence[Rule], *, dropped: Sequence[str] = ()) -> StateDict:
    """Rename every key by the first rule whose pattern matches it whole."""
    renamed: StateDict = {}
    for key, value in state.items():
        if any(re.fullmatch(pattern, key) for pattern in dropped):
            continue
        name = _renamed(key, rules)
        if name is None:
            raise CheckpointError(f"no rule for the upstream tensor {key!r} of shape {tuple(value.shape)}")
        if name in renamed:
            raise CheckpointError(f"the upstream tensor {key!r} would be the second one named {name!r}")
        renamed[name] = value
    return renamed


def check_shift(state: Mapping[str, Tensor], backbone: str) -> None:
    """Refuse shifted weights for an unshifted backbone and the reverse: shapes alone would let them pass."""
    shifted = any(".net." in key for key in state)
    if shifted != backbone.startswith("tsm_"):
        kind = "a temporal shift" if shifted else "no temporal shift"
        raise CheckpointError(f"these weights were trained with {kind}, which {backbone!r} does not match")


def _renamed(key: str, rules: Sequence[Rule]) -> str | None:
    for pattern, replacement in rules:
        match = re.fullmatch(pattern, key)
        if match:
            return match.expand(replacement) if isinstance(replacement, str) else replacement(match)
    return None
