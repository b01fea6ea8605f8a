"""Which views of a video a prediction is averaged over, by name."""

import re
from dataclasses import replace

from videozoo.clip_spec import ClipSpec, Views
from videozoo.errors import SettingError


def parse_views(text: str, spec: ClipSpec) -> Views:
    """The protocol called ``text``: ``reported``, ``1x1`` (one centre clip and crop) or CLIPSxCROPS, as in ``10x3``.

    Several crops keep the resolution of the reported protocol; ``1x1`` is the network's own training size. The average
    (of scores or of probabilities) is always the checkpoint's own.

    Raises:
        SettingError: for anything else.
    """
    if text == "reported":
        return spec.views
    match = re.fullmatch(r"(\d{1,3})x(1|3|10)", text)
    if match is None or int(match[1]) < 1:
        raise SettingError(f"views {text!r}: allowed are 'reported' and CLIPSxCROPS with 1, 3 or 10 crops, as in 10x3")
    clips, crops = int(match[1]), int(match[2])
    if (clips, crops) == (1, 1):
        return Views(average=spec.views.average)
    return replace(spec.views, clips=clips, crops=crops)  # type: ignore[arg-type]
