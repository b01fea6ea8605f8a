"""One HTML page, without any other file, about a training: curves, confusions, the clips that went wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from torch import Tensor

from videozoo.visualization.prediction_page import Shown, article, page

COLOURS = ("#4a7fd6", "#d9822b", "#2e9e5b", "#9b59b6")
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 470, 240, 62, 28, 22  # of a chart, pixels
TICKS = 5
CELL = 22  # pixels of a class in the confusion matrix
MOST_LABELS = 60  # classes whose names are written beside the matrix
LETTER = 7  # pixels of a letter there
STYLE = """
.charts { display: flex; flex-wrap: wrap; gap: 1rem; } figure { margin: 0; }
svg { max-width: 100%; height: auto; font: 12px system-ui, sans-serif; fill: currentColor; }
svg .grid { stroke: var(--line); } svg .curve { fill: none; stroke-width: 2; }
table.facts { width: auto; } table.facts td { white-space: normal; vertical-align: top; }
.scroll { overflow-x: auto; }
"""


@dataclass(frozen=True)
class Chart:
    """Curves over epochs: one value an epoch for every name."""

    title: str
    curves: Mapping[str, Sequence[float]]


def training_page(
    title: str,
    introduction: str,
    facts: Sequence[tuple[str, str]],
    charts: Sequence[Chart],
    confusion: Tensor,
    classes: Sequence[str],
    worst: Sequence[Shown],
) -> str:
    """The page as text; ``confusion`` (K, K) counts clips of a class (row) by the answer (column)."""
    rows = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in facts)
    drawn = "".join(line_chart(chart) for chart in charts)
    wrong = "\n".join(article(video) for video in worst) or "<p>Every clip was answered rightly.</p>"
    body = (
        f'<table class="facts"><tbody>{rows}</tbody></table>\n<h2>Curves</h2><div class="charts">{drawn}</div>\n'
        "<h2>Confusions</h2><p>Rows are the truth, columns the answers; the darker, the larger the share of the row."
        f'</p><div class="scroll">{confusion_matrix(confusion, classes)}</div>\n<h2>Worst clips</h2>{wrong}'
    )
    return page(title, introduction, body, style=STYLE)


def line_chart(chart: Chart) -> str:
    """A chart as SVG; values that are no numbers leave gaps."""
    values = [value for curve in chart.curves.values() for value in curve if value == value]
    low, high = min([0.0, *values]), max([1e-9, *values])
    epochs = max((len(curve) for curve in chart.curves.values()), default=1)
    span = WIDTH - LEFT - 8, HEIGHT - TOP - BOTTOM

    def place(epoch: int, value: float) -> tuple[float, float]:
        across = LEFT + span[0] * (epoch / (epochs - 1) if epochs > 1 else 0.5)
        return across, TOP + span[1] * (1 - (value - low) / (high - low))

    parts = []
    for tick in range(TICKS):
        value = low + (high - low) * tick / (TICKS - 1)
        _, y = place(0, value)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - 8}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for epoch in sorted({0, (epochs - 1) // 2, epochs - 1}):
        x, _ = place(epoch, low)
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - 8}" text-anchor="middle">{epoch + 1}</text>')
    for number, (name, curve) in enumerate(chart.curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = [place(epoch, value) for epoch, value in enumerate(curve) if value == value]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(f'<polyline class="curve" stroke="{colour}" points="{path}"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}"/>' for x, y in points]
        parts.append(f'<text x="{LEFT + 130 * number}" y="12" fill="{colour}">{escape(name)}</text>')
    label = escape(f"{chart.title} by epoch")
    return (
        f'<figure><figcaption>{label}</figcaption><svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'role="img" aria-label="{label}">{"".join(parts)}</svg></figure>'
    )


def confusion_matrix(confusion: Tensor, classes: Sequence[str]) -> str:
    """The matrix as SVG: only cells that have clips are drawn, each says in words what it counts."""
    names = list(classes) if len(classes) <= MOST_LABELS else [""] * len(classes)
    margin = 8 + LETTER * max(map(len, names))
    side = CELL * len(classes)
    shares = confusion / confusion.sum(dim=1, keepdim=True).clamp(min=1)
    parts = [f'<rect class="grid" x="{margin}" y="{margin}" width="{side}" height="{side}" fill="none"/>']
    for truth, said in confusion.nonzero().tolist():
        x, y, count = margin + CELL * said, margin + CELL * truth, int(confusion[truth, said])
        colour = "var(--right)" if truth == said else "var(--wrong)"
        words = f"{classes[truth]} taken for {classes[said]}: {count} of {int(confusion[truth].sum())}"
        parts.append(
            f'<rect x="{x}" y="{y}" width="{CELL}" height="{CELL}" fill="{colour}" '
            f'fill-opacity="{0.15 + 0.85 * shares[truth, said].item():.2f}"><title>{escape(words)}</title></rect>'
            f'<text x="{x + CELL / 2}" y="{y + CELL / 2 + 4}" text-anchor="middle">{count}</text>'
        )
    for place, name in enumerate(names):
        middle = margin + CELL * place + CELL / 2
        parts.append(f'<text x="{margin - 5}" y="{middle + 4}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<text transform="translate({middle + 4} {margin - 5}) rotate(-90)">{escape(name)}</text>')
    size = margin + side + 2
    return (
        f'<svg viewBox="0 0 {size} {size}" width="{size}" role="img" aria-label="confusion matrix">{"".join(parts)}'
        "</svg>"
    )
