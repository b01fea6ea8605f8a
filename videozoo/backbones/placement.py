"""Where attention blocks go: the thesis' places by name, or any others."""

import re
from collections.abc import Sequence

from videozoo.backbones.base import Backbone
from videozoo.errors import SettingError

Places = str | Sequence[str]

# Blocks after which attention follows, in the two middle stages (res3 and res4 of a ResNet); None: all.
NAMED: dict[str, tuple[int | None, int | None]] = {
    "one": (1, 0),  # the ablations of tables 4.2 to 4.4
    "five": (2, 3),  # the main model of the thesis and of Wang et al.
    "all": (None, None),
}


def attention_places(backbone: Backbone, places: Places) -> dict[int, tuple[int, ...]]:
    """The blocks after which attention follows, ``{stage: (block, ...)}``, both counted from 0.

    A name spreads its blocks evenly from each middle stage's first one on: ``five`` is after blocks 0 and 2 of res3 and
    0, 2 and 4 of res4 in a ResNet-50, as in the authors' code, and after 0, 7 and 15 of res4 in a ResNet-101. A stage
    with fewer blocks gets fewer. Any other places are a list of ``stage.block``, as in ``["1.0", "1.2", "2.0"]``.

    Raises:
        SettingError: when there is no such name, stage or block.
    """
    if isinstance(places, str):
        if places not in NAMED:
            raise SettingError(f"places {places!r}: allowed are {', '.join(NAMED)}, or a list such as ['1.0', '2.4']")
        stages = zip(backbone.middle_stages, NAMED[places], strict=True)
        return {stage: spread(count, len(backbone.channels[stage])) for stage, count in stages if count != 0}
    if not places:
        raise SettingError("places []: name at least one block, as in ['1.0']")
    chosen: dict[int, tuple[int, ...]] = {}
    for stage, block in sorted({_place(place, backbone) for place in places}):
        chosen[stage] = (*chosen.get(stage, ()), block)
    return chosen


def spread(count: int | None, blocks: int) -> tuple[int, ...]:
    """``count`` of so many blocks at even distances, the first among them; all without a count."""
    if count is None:
        return tuple(range(blocks))
    return tuple(sorted({place * blocks // count for place in range(count)}))


def _place(text: str, backbone: Backbone) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)\.(\d+)", text)
    sizes = [len(widths) for widths in backbone.channels]
    if match is None or int(match[1]) >= len(sizes) or int(match[2]) >= sizes[int(match[1])]:
        raise SettingError(f"place {text!r}: must be stage.block, from 0; the stages have {sizes} blocks")
    return int(match[1]), int(match[2])
