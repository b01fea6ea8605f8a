"""Curves as an SVG picture with a legend, for pages that need no other file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

COLOURS = ("#4a7fd6", "#d9822b", "#2e9e5b", "#9b59b6", "#cf4b3f")
WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, TOP = 470, 240, 62, 8, 28, 10  # pixels
TICKS = 5
CHART_STYLE = """
.charts { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; }
svg { max-width: 100%; height: auto; font: 12px system-ui, sans-serif; fill: currentColor; }
svg .grid { stroke: var(--line); } svg .curve { fill: none; stroke-width: 2; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 0 1rem; margin: 0; padding: 0; font-size: .85rem; }
.legend li::before { content: "\\25cf\\00a0"; }
"""


@dataclass(frozen=True)
class Chart:
    """Curves with one value a place for every name: epochs from 1 on, or other ``places`` ``across`` a range."""

    title: str
    curves: Mapping[str, Sequence[float]]
    across: str = "epoch"
    places: Sequence[float] = ()
    limits: tuple[float, float] | None = None  # of the places; without, from the first to the last
    highest: float = 1e-9  # value that is always inside, as 0 is


def line_chart(chart: Chart, *, width: int = WIDTH) -> str:
    """A chart as SVG, ``width`` pixels wide; values that are no numbers leave gaps.

    The attributes data-first, data-last, data-left and data-right of the picture say which places its edges are.
    """
    values = [value for curve in chart.curves.values() for value in curve if value == value]
    low, high = min([0.0, *values]), max([chart.highest, *values])
    count = max((len(curve) for curve in chart.curves.values()), default=1)
    places = list(chart.places) or [float(epoch + 1) for epoch in range(count)]
    first, last = chart.limits or (places[0], places[-1])

    def across(place: float) -> float:
        return LEFT + (width - LEFT - RIGHT) * ((place - first) / (last - first) if last > first else 0.5)

    def down(value: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - (value - low) / (high - low))

    parts = []
    for tick in range(TICKS):
        value = low + (high - low) * tick / (TICKS - 1)
        y = down(value)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{width - RIGHT}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for place in _marked(chart, places, first, last):
        parts.append(f'<text x="{across(place):.1f}" y="{HEIGHT - 8}" text-anchor="middle">{place:.3g}</text>')
    for number, curve in enumerate(chart.curves.values()):
        colour = COLOURS[number % len(COLOURS)]
        points = [(across(place), down(value)) for place, value in zip(places, curve, strict=False) if value == value]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline class="curve" stroke="{colour}" points="{path}"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in points]
    label = escape(f"{chart.title} by {chart.across}")
    return (
        f'<figure class="chart"><figcaption>{label}</figcaption>{_legend(chart)}'
        f'<svg viewBox="0 0 {width} {HEIGHT}" width="{width}" role="img" aria-label="{label}" data-first="{first:g}" '
        f'data-last="{last:g}" data-left="{LEFT}" data-right="{width - RIGHT}">{"".join(parts)}</svg></figure>'
    )


def _marked(chart: Chart, places: Sequence[float], first: float, last: float) -> list[float]:
    """Places whose numbers are written: of epochs the first, the middle and the last, otherwise even steps."""
    if chart.places:
        return [first + (last - first) * tick / (TICKS - 1) for tick in range(TICKS)] if last > first else [first]
    return sorted({places[0], places[(len(places) - 1) // 2], places[-1]})


def _legend(chart: Chart) -> str:
    names = [
        f'<li style="color: {COLOURS[number % len(COLOURS)]}">{escape(name)}</li>'
        for number, name in enumerate(chart.curves)
    ]
    return f'<ul class="legend">{"".join(names)}</ul>'
