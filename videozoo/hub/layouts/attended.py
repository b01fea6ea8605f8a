"""What layouts with attention after some blocks share: the plain network's names, one level deeper in those blocks."""

import re
from collections.abc import Collection, Mapping, Sequence

from torch import Tensor

from videozoo.hub.layouts.layout import Rule, StateDict, rename_keys

LAYER = r"(.*)layer(\d)\.(\d+)"


def rename_attended(
    state: Mapping[str, Tensor],
    plain: Sequence[Rule],
    parts: Mapping[str, str],
    *,
    dropped: Sequence[str] = (),
    twice: Collection[str] = (),
) -> StateDict:
    """Rename a network whose attended blocks upstream are called ``block``, by the rules of the network without them.

    ``parts`` are modules beside such a block (patterns of upstream names, our names below the block's place). ``twice``
    are the places, as in ``stages.1.0``, where two modules follow each other, so that the block is two levels deeper.
    """
    inside = {key.replace(".block.", ".", 1): value for key, value in state.items() if ".block." in key}
    beside = {key: value for key, value in state.items() if ".block." not in key}
    rules = [_rule(part, own) for part, own in parts.items()]
    renamed = rename_keys(beside, (*rules, *plain), dropped=dropped)
    for key, value in rename_keys(inside, plain, dropped=dropped).items():
        place = ".".join(key.split(".")[:3])
        renamed[key.replace(place, f"{place}.block.block" if place in twice else f"{place}.block", 1)] = value
    return renamed


def place_of(key: str) -> str:
    """Where an upstream layer's block stands here: ``...layer2.0...`` is ``stages.1.0``."""
    match = re.match(LAYER, key)
    assert match is not None
    return f"stages.{int(match[2]) - 1}.{match[3]}"


def _rule(part: str, own: str) -> Rule:
    return rf"{LAYER}\.{part}\.(\w+)", lambda key: f"{place_of(key[0])}.{own}.{key[4]}"
