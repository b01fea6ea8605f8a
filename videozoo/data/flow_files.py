"""Reading and writing optical flow as Middlebury's .flo files."""

from os import PathLike, fspath
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from videozoo.errors import VideoError

MAGIC = b"PIEH"  # the bytes of the little-endian float32 202021.25
HEADER = 12  # bytes: magic, width, height
LARGEST_SIDE = 99_999  # pixels; a header that claims more is damaged


def read_flo(path: str | PathLike[str]) -> Tensor:
    """Displacement in pixels, x first; unknown pixels keep their huge values. Shape: float32 (2, H, W).

    Raises:
        VideoError: when the file cannot be read, is no .flo file, or its length is not what its header says.
    """
    name = fspath(path)
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise VideoError(f"{name}: cannot be read ({error.strerror})") from error
    if content[:4] != MAGIC:
        raise VideoError(f"{name}: no .flo file, it starts with {content[:4]!r} instead of {MAGIC!r}")
    width, height = (int(side) for side in np.frombuffer(content[4:HEADER].ljust(8, b"\0"), dtype="<i4"))
    if not (1 <= width <= LARGEST_SIDE and 1 <= height <= LARGEST_SIDE):
        raise VideoError(f"{name}: its header says {width} x {height} pixels, allowed are 1 to {LARGEST_SIDE}")
    expected = HEADER + 8 * width * height
    if len(content) != expected:
        raise VideoError(f"{name}: {len(content)} bytes, but {width} x {height} pixels make {expected}")
    values = np.frombuffer(content, dtype="<f4", offset=HEADER).reshape(height, width, 2)
    return torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1).contiguous()


def write_flo(path: str | PathLike[str], flow: Tensor) -> None:
    """Write a flow. Shape: (2, H, W), in pixels, x first."""
    _, height, width = flow.shape
    values = flow.detach().cpu().permute(1, 2, 0).contiguous().numpy().astype("<f4")
    Path(path).write_bytes(MAGIC + np.array([width, height], dtype="<i4").tobytes() + values.tobytes())
