"""Kernels as the papers write them: ``3x7x7`` is 3 frames, 7 rows and 7 columns."""

import re
from collections.abc import Sequence

from videozoo.errors import SettingError

Kernel = str | Sequence[int]


def parse_kernel(kernel: Kernel) -> tuple[int, int, int]:
    """Frames, rows and columns, all odd, so that padding by half a kernel keeps the grid.

    Raises:
        SettingError: for anything else.
    """
    if isinstance(kernel, str):
        sides = [int(side) for side in kernel.split("x")] if re.fullmatch(r"\d+x\d+x\d+", kernel) else []
    else:
        sides = list(kernel)
    if len(sides) != 3 or any(side < 1 or side % 2 == 0 for side in sides):
        raise SettingError(f"kernel {kernel!r}: must be three odd numbers (frames, rows, columns), as in 3x7x7")
    frames, rows, columns = sides
    return frames, rows, columns
