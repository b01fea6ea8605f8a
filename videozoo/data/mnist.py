"""Handwritten digits from MNIST's idx files, packed or plain."""

import gzip
import struct
import zlib
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from videozoo.data.digit_glyphs import Part
from videozoo.errors import AnnotationError

PREFIXES: dict[Part, str] = {"train": "train", "test": "t10k"}
UNSIGNED_BYTE = 8  # the idx code of the only element type that MNIST uses


class MnistDigits:
    """Draws a random MNIST image of a digit: the train files for the train part, the t10k files for the test part.

    Raises:
        AnnotationError: when a file is missing, damaged, or images and labels do not belong together.
    """

    def __init__(self, directory: str | Path, part: Part) -> None:
        images_file = find_idx(Path(directory), f"{PREFIXES[part]}-images-idx3-ubyte")
        labels_file = find_idx(Path(directory), f"{PREFIXES[part]}-labels-idx1-ubyte")
        self.images, labels = read_idx(images_file, dimensions=3), read_idx(labels_file, dimensions=1)
        if len(self.images) != len(labels):
            raise AnnotationError(
                f"{images_file}: {len(self.images)} images, but {len(labels)} labels in {labels_file}"
            )
        self.places = [np.flatnonzero(labels == digit) for digit in range(10)]
        missing = [digit for digit in range(10) if not len(self.places[digit])]
        if missing:
            raise AnnotationError(f"{labels_file}: no image of the digits {missing}; all of 0 to 9 are needed")

    def __call__(self, digit: int, size: int, rng: np.random.Generator) -> Tensor:
        """Ink 0..1 of a square of ``size`` pixels. Shape: (size, size)."""
        image = torch.from_numpy(self.images[rng.choice(self.places[digit])].astype(np.float32) / 255)
        return F.interpolate(image[None, None], size=(size, size), mode="bilinear", antialias=True)[0, 0].clamp(0, 1)


def find_idx(directory: Path, name: str) -> Path:
    """The idx file of that name, plain or packed; `.idx3` with a dot, as some archives unpack it, will do too."""
    names = [name, f"{name}.gz", name.replace("-idx", ".idx")]
    for candidate in names:
        if (directory / candidate).is_file():
            return directory / candidate
    raise AnnotationError(f"{directory}: no MNIST file {' or '.join(names)}")


def read_idx(path: Path, *, dimensions: int) -> np.ndarray:
    """The array in an idx file of bytes.

    Raises:
        AnnotationError: when the header or the length is wrong.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise AnnotationError(f"{path}: cannot be read: {error}") from error
    start = 4 + 4 * dimensions
    if len(content) < start or content[:4] != bytes([0, 0, UNSIGNED_BYTE, dimensions]):
        raise AnnotationError(f"{path}: not an idx file of bytes in {dimensions} dimensions")
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    if len(content) - start != prod(shape):
        raise AnnotationError(f"{path}: {len(content) - start} bytes of data, but the header says {prod(shape)}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
