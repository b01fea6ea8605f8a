"""Textures made by formula for digits to move over; the two parts use different formulas."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from videozoo.data.digit_glyphs import Part

MAX_DRIFT = 0.6  # pixels a frame on a canvas of 128: a third of the slowest digit's speed
BRIGHTEST = 0.7  # of white, so that a white digit can be seen on any background

# Each maps pixel coordinates in units of the canvas (H, W), and a random generator, to values in 0..1.
Texture = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]


def _along(y: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The coordinate along a random direction."""
    angle = rng.uniform(0, 2 * np.pi)
    return np.cos(angle) * x + np.sin(angle) * y


def _noise(cells: int, shape: tuple[int, ...], mode: str, rng: np.random.Generator) -> np.ndarray:
    """A random grid enlarged to ``shape``."""
    grid = torch.from_numpy(rng.random((1, 1, cells, cells), dtype=np.float32))
    return F.interpolate(grid, size=shape, mode=mode)[0, 0].clamp(0, 1).double().numpy()


def clouds(y: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Smooth noise in two scales."""
    coarse = _noise(int(rng.integers(3, 8)), y.shape, "bicubic", rng)
    return 0.7 * coarse + 0.3 * _noise(int(rng.integers(10, 24)), y.shape, "bicubic", rng)


def gradient(y: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """From one colour to the other, in any direction."""
    along = _along(y, x, rng)
    return (along - along.min()) / np.ptp(along)


def stripes(y: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Soft parallel stripes."""
    return 0.5 + 0.5 * np.sin(2 * np.pi * (rng.uniform(2, 8) * _along(y, x, rng) + rng.random()))


def mosaic(y: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Tiles of random brightness."""
    return _noise(int(rng.integers(4, 14)), y.shape, "nearest", rng)


def rings(y: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Soft rings about a random centre."""
    radius = np.hypot(y - rng.random(), x - rng.random())
    return 0.5 + 0.5 * np.sin(2 * np.pi * (rng.uniform(2, 6) * radius + rng.random()))


def waves(y: np.ndarray, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two crossing sets of stripes."""
    return 0.5 * (stripes(y, x, rng) + stripes(y, x, rng))


TEXTURES: dict[Part, tuple[Texture, ...]] = {"train": (clouds, gradient, stripes), "test": (mosaic, rings, waves)}


class Textures:
    """A texture in two random colours that stands still or drifts slowly, in a direction that says nothing."""

    def __init__(self, part: Part) -> None:
        self.textures = TEXTURES[part]

    def __call__(self, frames: int, size: int, rng: np.random.Generator) -> Tensor:
        """Pixels in 0..255, uint8. Shape: (frames, 3, size, size)."""
        speed = rng.uniform(0, MAX_DRIFT) * size / 128 if rng.random() < 0.5 else 0.0
        angle = rng.uniform(0, 2 * np.pi)
        path = np.arange(frames)[:, None] * speed * np.array([np.sin(angle), np.cos(angle)])
        offsets = np.rint(path - path.min(axis=0)).astype(int)  # (T, 2) as y, x
        axis = np.arange(size + offsets.max() + 1) / size
        y, x = np.meshgrid(axis, axis, indexing="ij")
        values = self.textures[rng.integers(len(self.textures))](y, x, rng)
        colours = rng.uniform(0, 255 * BRIGHTEST, (2, 3, 1, 1))
        picture = torch.from_numpy((colours[0] + values * (colours[1] - colours[0])).astype(np.uint8))
        return torch.stack([picture[:, top : top + size, left : left + size] for top, left in offsets.tolist()])
