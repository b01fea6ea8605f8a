"""A video's frames in a row, and below them, frame by frame, what a method makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from videozoo.visualization.images import to_image

# Neighbours differ in hue and in lightness, so that they also differ without colours.
PALETTE = (
    (31, 98, 168), (255, 170, 64), (44, 140, 80), (235, 120, 160), (120, 66, 160), (170, 205, 90), (178, 46, 46),
    (95, 195, 215), (122, 84, 60), (215, 190, 235), (90, 90, 90), (240, 220, 100),
)  # fmt: skip
INK, BARS, FRAME = (30, 30, 30), (190, 198, 212), (220, 30, 30)
WIDTH = 1500  # pixels of a row of frames, about
TEXT = 20  # pixels of a line of text
BAR, CHART, GAP = 26, 120, 6
LEAST_PICTURE = 56  # pixels a frame is wide; of more frames, only some are shown


@dataclass(frozen=True)
class Clusters:
    """A strip with a colour for each cluster. ``ids`` (T,) from 0."""

    title: str
    ids: Sequence[int]


@dataclass(frozen=True)
class Curves:
    """Lines and bars over the frames, each kind from 0 to its largest. ``lines`` are (name, values (T,))."""

    title: str
    lines: Sequence[tuple[str, Sequence[float]]] = ()
    bars: Sequence[float] = ()


@dataclass(frozen=True)
class Marks:
    """A number below each frame, some of them framed."""

    title: str
    numbers: Sequence[float]
    framed: Sequence[int]


Row = Clusters | Curves | Marks


def timeline(title: str, frames: Tensor, rows: Sequence[Row]) -> Image.Image:
    """The picture: a line of text, the frames in order, then one row after the other.

    Shape: uint8 (T, 3, H, W); every row has T values.
    """
    count = len(frames)
    step = max(1, -(-count * LEAST_PICTURE // WIDTH))
    cell = max(WIDTH // count, LEAST_PICTURE // step, 1)  # pixels of one frame's column
    width = cell * count
    picture = round(cell * step * frames.shape[-2] / frames.shape[-1])
    heights = [TEXT + {Clusters: BAR, Curves: CHART, Marks: picture + TEXT}[type(row)] + GAP for row in rows]
    sheet = Image.new("RGB", (width, TEXT + picture + GAP + sum(heights)), "white")
    draw = ImageDraw.Draw(sheet)
    write(draw, (2, 1), title)
    _paste(sheet, frames, step, cell, TEXT)
    top = TEXT + picture + GAP
    for row, height in zip(rows, heights, strict=True):
        write(draw, (2, top + 1), row.title)
        if isinstance(row, Clusters):
            _draw_clusters(draw, row.ids, cell, top + TEXT)
        elif isinstance(row, Curves):
            _draw_curves(draw, row, cell, width, top)
        else:
            _paste(sheet, frames, step, cell, top + TEXT)
            _draw_marks(draw, row, cell, picture, top + TEXT)
        top += height
    return sheet


def _paste(sheet: Image.Image, frames: Tensor, step: int, cell: int, top: int) -> None:
    """Every ``step``-th frame, each as wide as the columns that it stands for."""
    width = cell * step
    height = round(width * frames.shape[-2] / frames.shape[-1])
    for place in range(0, len(frames), step):
        picture = to_image(frames[place]).resize((width - 1, height), Image.Resampling.BICUBIC)
        sheet.paste(picture, (place * cell, top))


def _draw_clusters(draw: ImageDraw.ImageDraw, ids: Sequence[int], cell: int, top: int) -> None:
    first = 0
    for place in range(1, len(ids) + 1):
        if place == len(ids) or ids[place] != ids[first]:
            colour = PALETTE[ids[first] % len(PALETTE)]
            box = (first * cell, top, place * cell - 2, top + BAR - 1)
            draw.rectangle(box, fill=colour)
            light = sum(colour) > 400
            if (place - first) * cell > 16:
                write(draw, (box[0] + 3, top + 4), str(ids[first] + 1), INK if light else (255, 255, 255))
            first = place


def _draw_curves(draw: ImageDraw.ImageDraw, row: Curves, cell: int, width: int, top: int) -> None:
    top, bottom = top + TEXT, top + TEXT + CHART - 1
    draw.line((0, bottom, width, bottom), fill=BARS)
    if row.bars:
        highest = max(max(row.bars), 1e-12)
        for place, value in enumerate(row.bars):
            height = max(0.0, value) / highest * (CHART - 8)
            draw.rectangle(
                (place * cell + cell // 5, bottom - height, (place + 1) * cell - cell // 5, bottom), fill=BARS
            )
    highest = max((max(values) for _, values in row.lines), default=1.0)
    x = draw.textlength(row.title, font=font()) + 18
    for place, (name, values) in enumerate(row.lines):
        colour = PALETTE[(0, 6, 2, 4)[place % 4]]
        points = [
            ((i + 0.5) * cell, bottom - max(0.0, value) / max(highest, 1e-12) * (CHART - 8))
            for i, value in enumerate(values)
        ]
        draw.line(points, fill=colour, width=2)
        for px, py in points:
            draw.ellipse((px - 3, py - 3, px + 3, py + 3), fill=colour)
        write(draw, (x, top - TEXT + 1), name, colour)
        x += draw.textlength(name, font=font()) + 18
    if row.lines:
        write(draw, (x, top - TEXT + 1), f"lines up to {highest:.3g}")


def _draw_marks(draw: ImageDraw.ImageDraw, row: Marks, cell: int, height: int, top: int) -> None:
    for place, number in enumerate(row.numbers):
        framed = place in row.framed
        write(draw, (place * cell + 4, top + height + 2), f"{number:.3g}", FRAME if framed else INK)
        if framed:
            draw.rectangle((place * cell, top, (place + 1) * cell - 2, top + height - 1), outline=FRAME, width=4)


def write(draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, colour: tuple[int, int, int] = INK) -> None:
    """One line of text, its top left corner at a place."""
    draw.text(at, text, fill=colour, font=font())


def font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The one font, 13 pixels high."""
    return ImageFont.load_default(13)
