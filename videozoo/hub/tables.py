"""Tables of checkpoints, all made from the manifest: other people's figures and ours in columns of their own."""

from collections.abc import Sequence

from videozoo.clip_spec import Views
from videozoo.hub.schema import Checkpoint, Figures, Measured, Reported

HEADER = (
    "checkpoint",
    "status",
    "data",
    "clip",
    "params",
    "GMAC",
    "reported top-1 / top-5",
    "measured top-1 / top-5",
    "licence",
)


def table_rows(rows: Sequence[Checkpoint]) -> list[tuple[str, ...]]:
    """One tuple of cells a checkpoint, in the order of HEADER."""
    return [
        (
            row.name,
            row.status,
            row.dataset,
            clip_text(row),
            f"{row.cost.params / 1e6:.2f} M" if row.cost else "",
            f"{row.cost.gmacs:.2f}" if row.cost else "",
            "; ".join(figure_text(result) for result in row.results if isinstance(result, Reported)),
            "; ".join(figure_text(result) for result in row.results if isinstance(result, Measured)),
            row.licence.weights,
        )
        for row in rows
    ]


def markdown_table(rows: Sequence[Checkpoint]) -> str:
    """The table as README and cards show it; ends in a newline."""
    lines = ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    lines += ["| " + " | ".join(_cell(cell) for cell in cells) + " |" for cells in table_rows(rows)]
    return "\n".join(lines) + "\n"


def clip_text(row: Checkpoint) -> str:
    """Frames and size of a clip: ``8 x 224``, ``13 x 160, every 6th`` at the data's frame rate, ``8 x 224 flow``."""
    spec = row.clip_spec
    text = f"{spec.frames} x {spec.size}"
    if spec.sampling == "timed":
        text += f", every {spec.stride}th at {spec.fps:g} fps"
    elif spec.sampling != "uniform":
        text += f" {spec.sampling}"
    return text if spec.modality == "rgb" else f"{text} {spec.modality.replace('_', ' ')}"


def figure_text(result: Figures) -> str:
    """Accuracies in percent and the views they were made with: ``73.33 / 91.27 (10x3)``."""
    if result.map is not None:
        figures = f"mAP {result.map:.2f}"
    elif result.top1 is None and result.mean_class is not None:
        figures = f"class mean {result.mean_class:.2f}"
    else:
        figures = " / ".join(f"{value:.2f}" if value is not None else "-" for value in (result.top1, result.top5))
    return f"{figures} ({views_text(result.protocol)})"


def views_text(views: Views) -> str:
    """Clips x crops, and what else differs from the ClipSpec: ``10x3 at 182``, ``1x10, 25 frames``."""
    text = str(views)
    if views.size is not None:
        text += f" at {views.size}"
    return text if views.frames is None else f"{text}, {views.frames} frames"


def _cell(text: str) -> str:
    return text.replace("|", "\\|") or " "
