"""Heat over frames: which places of a clip count, drawn as strips of frames with a legend."""

from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F

from videozoo.clip_spec import ClipSpec
from videozoo.errors import SettingError
from videozoo.visualization.images import to_image

# Colours from nothing to most, each (red, green, blue): dark violet, magenta, orange, pale yellow.
RAMP = ((20, 11, 53), (120, 28, 109), (229, 92, 48), (246, 215, 70), (252, 255, 164))
MARK = (255, 32, 32)
TEXT_HEIGHT = 18  # pixels of a line of text
GAP = 3  # pixels between frames


def to_pixels(clip: Tensor, spec: ClipSpec) -> Tensor:
    """The frames that a network saw, as pictures.

    Shape: float (T, 3, H, W), normalised as the ClipSpec says -> uint8 (T, 3, H, W), red first.

    Raises:
        SettingError: for clips that are no RGB frames.
    """
    if spec.modality != "rgb" or clip.shape[1] != 3:
        raise SettingError(f"a clip of {clip.shape[1]} channels of {spec.modality} cannot be shown as pictures")
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (spec.mean, spec.std))
    pixels = (clip.cpu() * std + mean) * (255 / spec.value_range)
    return (pixels.flip(1) if spec.channel_order == "bgr" else pixels).round().clamp(0, 255).to(torch.uint8)


def stretch(heat: Tensor) -> Tensor:
    """Values of a whole clip to 0..1, the highest half percent all at 1: one position alone would hide the others."""
    lowest = heat.min()
    highest = torch.quantile(heat.flatten().float(), 0.995)
    return ((heat - lowest) / (highest - lowest).clamp(min=1e-12)).clamp(0, 1)


def paint(frames: Tensor, heat: Tensor) -> Tensor:
    """Frames with heat over them, opaque where it is hot.

    Shape: uint8 (T, 3, H, W), heat in 0..1 (T', h, w) -> uint8 (T, 3, H, W); heat is spread over frames and pixels.
    """
    size = (len(frames), *frames.shape[-2:])
    spread = F.interpolate(heat[None, None].float(), size=size, mode="trilinear", align_corners=False)[0, 0]
    spread = spread.clamp(0, 1).unsqueeze(1)
    grey = frames.float().mean(dim=1, keepdim=True)
    opacity = 0.25 + 0.55 * spread
    return (grey * (1 - opacity) + colours(spread) * opacity).round().to(torch.uint8)


def colours(heat: Tensor) -> Tensor:
    """The ramp's colour of every value. Shape: values in 0..1 (T, 1, H, W) -> 0..255 (T, 3, H, W)."""
    ramp = torch.tensor(RAMP, dtype=torch.float32)
    place = heat * (len(ramp) - 1)
    lower = place.floor().clamp(max=len(ramp) - 2).long()
    share = (place - lower).movedim(1, -1)
    lower = lower.squeeze(1)
    return (ramp[lower] * (1 - share) + ramp[lower + 1] * share).movedim(-1, 1)


def mark(frames: Tensor, position: tuple[int, int, int]) -> Tensor:
    """A ring around the pixel (y, x) of frame t. Shape: uint8 (T, 3, H, W) -> same."""
    t, y, x = position
    picture = to_image(frames[t])
    radius = max(2, min(picture.size) // 28)
    box = (x - radius, y - radius, x + radius, y + radius)
    ImageDraw.Draw(picture).ellipse(box, outline=MARK, width=max(1, radius // 2))
    marked = frames.clone()
    marked[t] = (
        torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(*frames.shape[-2:], 3).movedim(-1, 0)
    )
    return marked


def labelled_strips(rows: Sequence[tuple[str, Tensor]], *, height: int = 112) -> Image.Image:
    """One strip of frames a row, each under its own line of text. Rows: text and uint8 (T, 3, H, W)."""
    widths = [len(frames) * (round(height * frames.shape[-1] / frames.shape[-2]) + GAP) for _, frames in rows]
    sheet = Image.new("RGB", (max(widths), len(rows) * (height + TEXT_HEIGHT + GAP)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for row, (text, frames) in enumerate(rows):
        top = row * (height + TEXT_HEIGHT + GAP)
        draw.text((2, top + 1), text, fill="black", font=font)
        width = round(height * frames.shape[-1] / frames.shape[-2])
        for place, frame in enumerate(frames):
            picture = to_image(frame).resize((width, height), Image.Resampling.BICUBIC)
            sheet.paste(picture, (place * (width + GAP), top + TEXT_HEIGHT))
    return sheet
