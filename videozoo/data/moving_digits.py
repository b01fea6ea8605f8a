"""Moving digits: videos in which only a known run of frames tells the class (full-video paper, Move4MNIST).

A target digit moves up, down, left or right over a background in one run of frames; runs of black frames, of the
background alone and of other digits stand before and after it. What the paper leaves open (sizes, speeds, run
lengths, which digits) is chosen here and scales with the canvas and the number of frames.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from videozoo.data.digit_glyphs import Glyphs, Part
from videozoo.data.digit_textures import Textures
from videozoo.errors import SettingError

LABELS = ("up", "down", "left", "right")
FLIP_PAIRS = ((2, 3),)  # classes that a mirror swaps
DIRECTIONS = ((-1, 0), (1, 0), (0, -1), (0, 1))  # of each label, as (y, x) with y down
DIAGONALS = ((-1, -1), (-1, 1), (1, -1), (1, 1))
TARGET_DIGITS = range(5)
DISTRACTOR_DIGITS = range(5, 10)

REFERENCE_SIZE = 128  # the canvas, in pixels, that the next two are given for
DIGIT_SIZE = 40
SPEED = (2.0, 4.0)  # pixels a frame
RUN = (3, 8)  # frames of a run without the target; the target's run is a quarter to a half of the video
MIN_FRAMES = 20  # room for one run of every kind
MIN_SIZE = 32

Kind = Literal["target", "black", "background", "distractor"]
OTHER_KINDS: tuple[Kind, ...] = ("black", "background", "distractor")
DigitSource = Callable[[int, int, np.random.Generator], Tensor]  # digit, size -> coverage (size, size)
BackgroundSource = Callable[[int, int, np.random.Generator], Tensor]  # frames, size -> uint8 (T, 3, H, W)


@dataclass(frozen=True)
class DigitVideo:
    """One video with its truth.

    ``frames`` (T, 3, H, W) uint8; ``label`` a place in LABELS; ``relevance`` (T,) true where the target digit is
    seen; ``kinds`` what each frame shows.
    """

    frames: Tensor
    label: int
    relevance: Tensor
    kinds: tuple[Kind, ...]


def make_video(
    seed: int,
    index: int,
    part: Part = "train",
    *,
    frames: int = 32,
    size: int = REFERENCE_SIZE,
    digits: DigitSource | None = None,
    backgrounds: BackgroundSource | None = None,
) -> DigitVideo:
    """Video ``index`` of ``seed``, the same whoever makes it and in whatever order; its class is ``index`` modulo 4.

    Without ``digits`` and ``backgrounds`` they are drawn: glyphs and textures of the part. ``size`` is in pixels.

    Raises:
        SettingError: for a negative seed or index, or a video too short or too small to hold its parts.
    """
    check_video_settings(seed, frames, size)
    if index < 0:
        raise SettingError(f"index {index}: must be at least 0")
    rng = np.random.default_rng([seed, index, ("train", "test").index(part)])
    digits = digits or Glyphs(part)
    label = index % len(LABELS)
    runs = draw_runs(frames, rng)
    video = (backgrounds or Textures(part))(frames, size, rng).clone()
    start = 0
    for kind, length in runs:
        if kind == "black":
            video[start : start + length] = 0
        elif kind == "target":
            _move_digit(video[start : start + length], TARGET_DIGITS, DIRECTIONS[label], digits, rng)
        elif kind == "distractor":
            direction = DIAGONALS[rng.integers(4)] if rng.random() < 0.5 else (0, 0)
            _move_digit(video[start : start + length], DISTRACTOR_DIGITS, direction, digits, rng)
        start += length
    kinds = tuple(kind for kind, length in runs for _ in range(length))
    return DigitVideo(video, label, torch.tensor([kind == "target" for kind in kinds]), kinds)


def check_video_settings(seed: int, frames: int, size: int) -> None:
    """Say what is wrong with the settings of a set before any of it is made."""
    if seed < 0:
        raise SettingError(f"seed {seed}: must be at least 0")
    if frames < MIN_FRAMES:
        raise SettingError(f"frames {frames}: a moving-digits video needs at least {MIN_FRAMES}")
    if size < MIN_SIZE or size % 2:
        raise SettingError(f"size {size}: must be even and at least {MIN_SIZE} pixels")


def draw_runs(frames: int, rng: np.random.Generator) -> list[tuple[Kind, int]]:
    """Kinds and lengths of the runs in order: one target, every other kind at least once, no kind twice in a row."""
    target = int(rng.integers(frames // 4, frames // 2 + 1))
    rest = frames - target
    count = int(rng.integers(max(len(OTHER_KINDS), -(-rest // RUN[1])), rest // RUN[0] + 1))
    place = int(rng.integers(count + 1))
    lengths = _cut(rest, count, rng)
    kinds = _arrange(count, place, rng)
    runs = list(zip(kinds, lengths, strict=True))
    return [*runs[:place], ("target", target), *runs[place:]]


def _cut(total: int, count: int, rng: np.random.Generator) -> list[int]:
    """``count`` random lengths within RUN that add up to ``total``."""
    lengths = [RUN[0]] * count
    for _ in range(total - RUN[0] * count):
        lengths[rng.choice([run for run in range(count) if lengths[run] < RUN[1]])] += 1
    return lengths


def _arrange(count: int, place: int, rng: np.random.Generator) -> list[Kind]:
    """``count`` kinds, each used, neighbours different unless the target stands between them, before ``place``."""
    while True:  # two draws in nine are good in the worst case, three runs
        drawn: list[Kind] = []
        for run in range(count):
            allowed = [kind for kind in OTHER_KINDS if run in (0, place) or kind != drawn[-1]]
            drawn.append(allowed[rng.integers(len(allowed))])
        if len(set(drawn)) == len(OTHER_KINDS):
            return drawn


def _move_digit(
    run: Tensor, choice: Sequence[int], direction: tuple[int, int], digits: DigitSource, rng: np.random.Generator
) -> None:
    """Draw a digit that moves through a run of frames (T, 3, H, W), whole in every one of them."""
    frames, _, size, _ = run.shape
    side = round(DIGIT_SIZE * size / REFERENCE_SIZE)
    room = size - side
    speed = min(rng.uniform(*SPEED) * size / REFERENCE_SIZE, room / (frames - 1))
    ink = digits(choice[int(rng.integers(len(choice)))], side, rng)
    # Uniform over all places where the whole way fits: where a digit is tells nothing, only how it moves does.
    travel = np.array(direction) * speed * (frames - 1)
    start = rng.uniform(np.maximum(0, -travel), room - np.maximum(0, travel))
    for frame in range(frames):
        top, left = np.rint(start + np.array(direction) * speed * frame).astype(int).tolist()
        patch = run[frame, :, top : top + side, left : left + side]
        patch.copy_((patch + ink * (255 - patch.float())).round().to(torch.uint8))
