"""What a model says of a video over time: its best label as a strip, the likeliest classes as curves below it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from videozoo.visualization.timeline import BAR, BARS, GAP, INK, PALETTE, TEXT, WIDTH, font, write

SHOWN = 8  # classes with a colour of their own
HEIGHT = 300  # pixels of the curves
LEFT, RIGHT = 44, 16  # pixels beside them
POINTS = 500  # windows drawn; of more, neighbours are averaged
DOTS = 120  # with so few, each is a dot
TICKS = 12  # at most, on the axis of time
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400)  # seconds
LEGEND_GAP = 28


@dataclass(frozen=True)
class Answers:
    """Windows in order: ``start`` and ``end`` (N,) in seconds, ``probability`` (N, K)."""

    labels: Sequence[str]
    start: Tensor
    end: Tensor
    probability: Tensor

    @classmethod
    def of(cls, labels: Sequence[str], windows: Sequence[tuple[float, float, Tensor]]) -> "Answers":
        """From (start, end, probabilities (K,)) of each window; many are averaged in groups of neighbours."""
        size = -(-len(windows) // POINTS)
        groups = [windows[i : i + size] for i in range(0, len(windows), size)]
        start = torch.tensor([group[0][0] for group in groups], dtype=torch.float64)
        end = torch.tensor([group[-1][1] for group in groups], dtype=torch.float64)
        probability = torch.stack([torch.stack([p for _, _, p in group]).mean(0) for group in groups])
        return cls(labels, start, end, probability)


def answer_plot(title: str, answers: Answers) -> Image.Image:
    """The picture: title, strip, curves with their axes, names of the classes that have a colour."""
    shown = answers.probability.mean(0).topk(min(SHOWN, len(answers.labels))).indices.tolist()
    colours = {k: PALETTE[place] for place, k in enumerate(shown)}
    scratch = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    legend = _legend(scratch, [answers.labels[k] for k in shown])
    top = TEXT + GAP + BAR + GAP
    bottom = top + HEIGHT
    sheet = Image.new("RGB", (WIDTH, bottom + TEXT + GAP + TEXT * (legend[-1][1] + 1) + GAP), "white")
    draw = ImageDraw.Draw(sheet)
    write(draw, (LEFT, 1), title)
    span = _Span(float(answers.start[0]), float(answers.end.max()))
    _draw_axes(draw, span, top, bottom)
    _draw_strip(draw, span, answers, colours)
    for k in reversed(shown):  # the likeliest on top
        _draw_curve(draw, span, answers, k, colours[k], bottom)
    for (x, line), k in zip(legend, shown, strict=True):
        y = bottom + TEXT + GAP + TEXT * line
        draw.rectangle((x, y + 3, x + 12, y + 15), fill=colours[k])
        write(draw, (x + 17, y + 1), answers.labels[k])
    return sheet


@dataclass(frozen=True)
class _Span:
    """Seconds from left to right."""

    first: float
    last: float

    def x(self, seconds: float) -> float:
        share = (seconds - self.first) / max(self.last - self.first, 1e-9)
        return LEFT + share * (WIDTH - LEFT - RIGHT)


def _legend(draw: ImageDraw.ImageDraw, names: Sequence[str]) -> list[tuple[float, int]]:
    """Where each name begins: pixels from the left, and its line."""
    places: list[tuple[float, int]] = []
    x, line = float(LEFT), 0
    for name in names:
        width = draw.textlength(name, font=font()) + 17
        if places and x + width > WIDTH - RIGHT:
            x, line = float(LEFT), line + 1
        places.append((x, line))
        x += width + LEGEND_GAP
    return places


def _draw_axes(draw: ImageDraw.ImageDraw, span: _Span, top: int, bottom: int) -> None:
    for part in range(5):
        y = bottom - part / 4 * HEIGHT
        draw.line((LEFT, y, WIDTH - RIGHT, y), fill=BARS)
        write(draw, (6, y - 8), f"{part / 4:.2f}")
    step = next((s for s in STEPS if (span.last - span.first) / s <= TICKS), STEPS[-1])
    tick = -(-span.first // step)
    while tick * step <= span.last + 1e-6:
        x = span.x(tick * step)
        draw.line((x, top, x, bottom + 5), fill=BARS)
        text = time_text(tick * step)
        width = draw.textlength(text, font=font())
        write(draw, (min(x - width / 2, WIDTH - width - 2), bottom + 5), text)
        tick += 1


def _draw_strip(
    draw: ImageDraw.ImageDraw, span: _Span, answers: Answers, colours: dict[int, tuple[int, int, int]]
) -> None:
    """The best label of each window up to the next one, neighbours of one label in one piece."""
    best = answers.probability.argmax(1).tolist()
    ends = torch.minimum(answers.end, torch.cat([answers.start[1:], answers.end[-1:]])).tolist()
    starts = answers.start.tolist()
    top, first = TEXT + GAP, 0
    for place in range(1, len(best) + 1):
        if place < len(best) and best[place] == best[first] and starts[place] <= ends[place - 1] + 1e-6:
            continue
        colour = colours.get(best[first], BARS)
        left, right = span.x(starts[first]), span.x(ends[place - 1])
        draw.rectangle((left, top, max(left, right - 1), top + BAR - 1), fill=colour)
        name = answers.labels[best[first]]
        if draw.textlength(name, font=font()) + 8 < right - left:
            write(draw, (left + 4, top + 4), name, INK if sum(colour) > 400 else (255, 255, 255))
        first = place


def _draw_curve(
    draw: ImageDraw.ImageDraw, span: _Span, answers: Answers, k: int, colour: tuple[int, int, int], bottom: int
) -> None:
    """Through the middle of each window; broken where no window is."""
    starts, ends, values = answers.start.tolist(), answers.end.tolist(), answers.probability[:, k].tolist()
    points: list[tuple[float, float]] = []
    for place, (start, end, value) in enumerate(zip(starts, ends, values, strict=True)):
        if place and start > ends[place - 1] + 1e-6:
            points = []
        points.append((span.x((start + end) / 2), bottom - value * HEIGHT))
        draw.line(points[-2:], fill=colour, width=2)
        if len(starts) <= DOTS:
            x, y = points[-1]
            draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=colour)


def time_text(seconds: float) -> str:
    """A time on the axis: 1.5 s below a minute, 2:05, 1:02:05."""
    if seconds < 60:
        return f"{round(seconds, 3):g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
