"""Digits drawn with strokes, for moving digits without MNIST files; the two parts use different alphabets."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

Part = Literal["train", "test"]
Point = tuple[float, float]
Strokes = tuple[tuple[Point, ...], ...]

# Control points (x right, y down, in a box of 1) of every stroke of the digits 0 to 9; corner cutting rounds them.
SCHOOL: tuple[Strokes, ...] = (
    (((0.5, 0), (0.1, 0.1), (0, 0.5), (0.1, 0.9), (0.5, 1), (0.9, 0.9), (1, 0.5), (0.9, 0.1), (0.5, 0)),),
    (((0.2, 0.25), (0.55, 0), (0.55, 1)),),
    (((0.05, 0.25), (0.2, 0), (0.8, 0), (0.95, 0.3), (0.05, 1), (1, 1)),),
    (
        ((0.05, 0.1), (0.5, -0.05), (0.95, 0.2), (0.75, 0.5), (0.4, 0.5)),
        ((0.4, 0.5), (0.85, 0.5), (1, 0.8), (0.5, 1.05), (0, 0.9)),
    ),
    (((0.7, 1), (0.7, 0), (0, 0.7), (1, 0.7)),),
    (((0.9, 0), (0.15, 0), (0.1, 0.45), (0.6, 0.35), (1, 0.6), (0.8, 1), (0.05, 0.95)),),
    (((0.8, 0), (0.2, 0.25), (0, 0.7), (0.3, 1), (0.8, 1), (1, 0.7), (0.7, 0.45), (0.05, 0.6)),),
    (((0, 0), (1, 0), (0.35, 1)),),
    (
        ((0.5, 0.45), (0.1, 0.35), (0.1, 0.05), (0.5, 0), (0.9, 0.05), (0.9, 0.35), (0.5, 0.45)),
        ((0.5, 0.45), (0, 0.6), (0, 0.95), (0.5, 1), (1, 0.95), (1, 0.6), (0.5, 0.45)),
    ),
    (((0.95, 0.35), (0.6, 0.55), (0.1, 0.5), (0, 0.2), (0.3, 0), (0.8, 0), (0.95, 0.35), (0.9, 0.7), (0.6, 1)),),
)
LEDGER: tuple[Strokes, ...] = (
    (
        ((0.5, 0), (0.15, 0), (0.15, 1), (0.85, 1), (0.85, 0), (0.5, 0)),
        ((0.8, 0.15), (0.2, 0.85)),
    ),
    (((0.25, 0.2), (0.5, 0), (0.5, 1)), ((0.2, 1), (0.8, 1))),
    (((0, 0.2), (0.5, -0.1), (1, 0.2), (0.7, 0.6), (0.1, 0.85), (0, 1), (0.4, 0.92), (1, 1)),),
    (((0.05, 0), (0.95, 0), (0.45, 0.4), (1, 0.5), (1, 0.9), (0.5, 1.05), (0, 0.9)),),
    (((0.15, 0), (0.05, 0.55), (0.95, 0.55)), ((0.75, 0.1), (0.75, 1))),
    (((0.2, 0), (0.15, 0.45), (0.8, 0.4), (1, 0.75), (0.6, 1.05), (0, 0.95)), ((0.2, 0), (0.95, 0))),
    (((0.6, 0), (0.1, 0.5), (0.05, 0.95), (0.6, 1.05), (0.95, 0.8), (0.7, 0.55), (0.1, 0.75)),),
    (((0, 0.1), (0, 0), (1, 0), (0.5, 1)), ((0.25, 0.5), (0.85, 0.5))),
    (
        ((0.95, 0.1), (0.5, -0.05), (0.05, 0.15), (0.3, 0.4), (0.8, 0.6), (0.95, 0.9)),
        ((0.95, 0.9), (0.5, 1.05), (0.05, 0.9), (0.25, 0.6), (0.7, 0.4), (0.95, 0.1)),
    ),
    (((1, 0.25), (0.5, -0.05), (0.05, 0.2), (0.2, 0.5), (0.7, 0.5), (1, 0.25), (1, 1)),),
)
ALPHABETS: dict[Part, tuple[Strokes, ...]] = {"train": SCHOOL, "test": LEDGER}


class Glyphs:
    """Draws a digit in its part's alphabet, with random slant, turn, width, thickness and roundness."""

    def __init__(self, part: Part) -> None:
        self.alphabet = ALPHABETS[part]

    def __call__(self, digit: int, size: int, rng: np.random.Generator) -> Tensor:
        """Coverage 0..1 of a square of ``size`` pixels. Shape: (size, size)."""
        slant, turn = rng.uniform(-0.25, 0.25), rng.uniform(-0.2, 0.2)
        width, height = rng.uniform(0.45, 0.65), rng.uniform(0.65, 0.75)
        thickness, rounds = rng.uniform(0.07, 0.13), int(rng.integers(0, 3))
        shear = np.array([[width, -slant * height], [0, height]])
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        starts, ends = [], []
        for stroke in self.alphabet[digit]:
            points = (cut_corners(np.array(stroke, dtype=np.float64), rounds) - 0.5) @ (rotation @ shear).T + 0.5
            starts.append(points[:-1])
            ends.append(points[1:])
        distance = distance_to_segments(np.concatenate(starts), np.concatenate(ends), size)
        return torch.from_numpy(np.clip((thickness / 2 - distance) * size + 0.5, 0, 1).astype(np.float32))


def cut_corners(points: np.ndarray, rounds: int) -> np.ndarray:
    """Round a polyline by Chaikin's corner cutting; its ends stay. Shape: (N, 2) -> (N', 2)."""
    for _ in range(rounds):
        before, after = points[:-1], points[1:]
        cut = np.stack([0.75 * before + 0.25 * after, 0.25 * before + 0.75 * after], axis=1).reshape(-1, 2)
        points = np.concatenate([points[:1], cut, points[-1:]])
    return points


def distance_to_segments(starts: np.ndarray, ends: np.ndarray, size: int) -> np.ndarray:
    """Distance of every pixel's centre to the nearest segment, the square's side being 1. Shape: (size, size)."""
    axis = (np.arange(size) + 0.5) / size
    pixels = np.stack(np.meshgrid(axis, axis, indexing="xy"), axis=-1)[:, :, None]  # (H, W, 1, 2) as x, y
    along = ends - starts
    length = np.maximum((along**2).sum(-1), 1e-12)
    place = np.clip(((pixels - starts) * along).sum(-1) / length, 0, 1)
    return np.sqrt(((starts + place[..., None] * along - pixels) ** 2).sum(-1)).min(-1)
