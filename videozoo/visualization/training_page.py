"""One HTML page, without any other file, about a training: curves, confusions, the clips that went wrong."""

from collections.abc import Sequence
from html import escape

from torch import Tensor

from videozoo.visualization.line_chart import CHART_STYLE, Chart, line_chart
from videozoo.visualization.prediction_page import Shown, article, page

CELL = 22  # pixels of a class in the confusion matrix
MOST_LABELS = 60  # classes whose names are written beside the matrix
LETTER = 7  # pixels of a letter there
STYLE = """
table.facts { width: auto; } table.facts td { white-space: normal; vertical-align: top; }
.scroll { overflow-x: auto; }
"""


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
    return page(title, introduction, body, style=CHART_STYLE + STYLE)


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
