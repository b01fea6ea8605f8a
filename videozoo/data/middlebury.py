"""The Middlebury flow pairs with public ground truth (Baker et al., IJCV 2011)."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from videozoo.data.flow_files import read_flo
from videozoo.errors import VideoError

FILES = ("frame10.png", "frame11.png", "flow10.flo")


@dataclass(frozen=True)
class FlowPair:
    """Two frames uint8 (2, 3, H, W) and the true motion from the first to the second, (2, H, W) in pixels."""

    name: str
    frames: Tensor
    target: Tensor


def read_pairs(folder: Path) -> list[FlowPair]:
    """The pairs of a folder with one subfolder a sequence, by name.

    Raises:
        VideoError: when there are none, a file of one is absent or damaged, or sizes differ.
    """
    sequences = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not sequences:
        raise VideoError(f"{folder}: no flow pairs, expected <sequence>/{{{','.join(FILES)}}}")
    return [_read_pair(sequence) for sequence in sequences]


def _read_pair(folder: Path) -> FlowPair:
    first, second = (_read_picture(folder / name) for name in FILES[:2])
    target = read_flo(folder / FILES[2])
    if not first.shape[1:] == second.shape[1:] == target.shape[1:]:
        raise VideoError(f"{folder}: the frames and the flow differ in size")
    return FlowPair(folder.name, torch.stack([first, second]), target)


def _read_picture(path: Path) -> Tensor:
    try:
        with Image.open(path) as picture:
            return torch.from_numpy(np.array(picture.convert("RGB"))).permute(2, 0, 1)
    except OSError as error:
        raise VideoError(f"{path}: not a readable picture ({error})") from error
