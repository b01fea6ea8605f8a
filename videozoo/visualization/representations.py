"""What a motion representation makes of a video, beside the frames and their mean (thesis, figures 3.6, 3.10, 5.6)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from videozoo.visualization.images import to_image

CAPTION_HEIGHT = 18  # pixels of a line of text
GAP, GROUP_GAP = 3, 14  # pixels between pictures, and between what belongs apart
BRIGHTEST = 0.995  # share of values that stay inside the range: single pixels would dim all others
CELL = 14  # pixels of one number of a kernel
POSITIVE, NEGATIVE, LINE, BEFORE, AFTER = (
    (178, 24, 43),
    (33, 102, 172),
    (190, 190, 190),
    (140, 140, 140),
    (33, 102, 172),
)


@dataclass(frozen=True)
class Strip:
    """Pictures that belong together, under one caption: uint8 (N, 3, H, W)."""

    caption: str
    pictures: Tensor


def signed_pictures(frames: Tensor) -> Tensor:
    """Values around zero as pictures: zero is grey, all frames share one scale.

    Shape: float (N, 3, H, W) -> uint8 (N, 3, H, W).
    """
    scale = _quantile(frames.abs(), BRIGHTEST).clamp_min(1e-12)
    return _to_uint8(0.5 + 0.5 * frames / scale)


def stretched_pictures(frames: Tensor) -> Tensor:
    """Values of no fixed range as pictures: each frame from its darkest to its brightest.

    Shape: float (N, 3, H, W) -> uint8 (N, 3, H, W).
    """
    pictures = []
    for frame in frames:
        low, high = _quantile(frame, 1 - BRIGHTEST), _quantile(frame, BRIGHTEST)
        pictures.append(_to_uint8((frame - low) / (high - low).clamp_min(1e-12)))
    return torch.stack(pictures)


def sheet(rows: Sequence[Sequence[Strip]], *, title: str, height: int = 112) -> Image.Image:
    """Rows of strips side by side, all pictures of one height in pixels."""
    widths = [sum(_strip_width(strip, height) + GROUP_GAP for strip in row) - GROUP_GAP for row in rows]
    row_height = CAPTION_HEIGHT + height + GAP
    picture = Image.new("RGB", (max(widths), CAPTION_HEIGHT + len(rows) * row_height), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    draw.text((2, 1), title, fill="black", font=font)
    for place, row in enumerate(rows):
        left, top = 0, CAPTION_HEIGHT + place * row_height
        for strip in row:
            draw.text((left + 2, top + 1), strip.caption, fill="black", font=font)
            for frame in strip.pictures:
                small = to_image(frame).resize((_width(strip, height), height), Image.Resampling.BICUBIC)
                picture.paste(small, (left, top + CAPTION_HEIGHT))
                left += small.width + GAP
            left += GROUP_GAP - GAP
    return picture


def kernel_sheet(before: Tensor, after: Tensor, time: Tensor, *, names: Sequence[str]) -> Image.Image:
    """Kernels at the start of training and now, channel by channel, with their middle rows (thesis, figure 5.10).

    Each kernel is scaled by its own largest magnitude; red is positive, blue negative.
    Shape: before (k, k), after (C, k, k), the temporal kernels now (C, 3).
    """
    side = CELL * before.shape[-1]
    columns = ["at the start", *(f"{name} now" for name in names), "middle rows"]
    picture = Image.new("RGB", (len(columns) * (side + GROUP_GAP), 2 * CAPTION_HEIGHT + side), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(11)
    for place, (caption, kernel) in enumerate(zip(columns, [before, *after, None], strict=True)):
        left = place * (side + GROUP_GAP)
        draw.text((left, 1), caption, fill="black", font=font)
        if kernel is None:
            _draw_profiles(draw, left, before, after)
            continue
        heat = to_image(_diverging(kernel)).resize((side, side), Image.Resampling.NEAREST)
        picture.paste(heat, (left, CAPTION_HEIGHT))
        if place > 0:
            numbers = " ".join(f"{value:.2f}" for value in time[place - 1].tolist())
            draw.text((left, CAPTION_HEIGHT + side + 1), f"time {numbers}", fill="black", font=font)
    return picture


def _draw_profiles(draw: ImageDraw.ImageDraw, left: int, before: Tensor, after: Tensor) -> None:
    side = CELL * before.shape[-1]
    middle, half = before.shape[-1] // 2, side / 2
    axis = CAPTION_HEIGHT + half
    draw.line((left, axis, left + side, axis), fill=LINE)
    for kernel, colour in [*((kernel, AFTER) for kernel in after), (before, BEFORE)]:
        row = kernel[middle] / kernel.abs().max().clamp_min(1e-12)
        points = [(left + CELL * (x + 0.5), axis - half * value) for x, value in enumerate(row.tolist())]
        draw.line(points, fill=colour, width=2)


def _diverging(kernel: Tensor) -> Tensor:
    """White at zero, red above, blue below. Shape: (k, k) -> uint8 (3, k, k)."""
    share = (kernel / kernel.abs().max().clamp_min(1e-12)).unsqueeze(0)
    ends = torch.where(
        share > 0, kernel.new_tensor(POSITIVE)[:, None, None], kernel.new_tensor(NEGATIVE)[:, None, None]
    )
    return (255 + (ends - 255) * share.abs()).round().to(torch.uint8)


def _strip_width(strip: Strip, height: int) -> int:
    pictures = len(strip.pictures) * (_width(strip, height) + GAP) - GAP
    caption = round(ImageFont.load_default(13).getlength(strip.caption)) + 4
    return max(pictures, caption)


def _width(strip: Strip, height: int) -> int:
    return max(1, round(height * strip.pictures.shape[-1] / strip.pictures.shape[-2]))


def _quantile(values: Tensor, share: float) -> Tensor:
    """Quantile of all values, of at most a million of them: torch takes no more than 16 million."""
    flat = values.flatten()
    return torch.quantile(flat[:: max(1, flat.numel() // 1_000_000)], share)


def _to_uint8(pictures: Tensor) -> Tensor:
    return (255 * pictures).round().clamp(0, 255).to(torch.uint8)
