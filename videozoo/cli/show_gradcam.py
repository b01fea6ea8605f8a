"""Draw which places of which frames speak for a class (Grad-CAM over time), for one network or several.

Example: `videozoo show gradcam clip.mp4 heat.png --model NAME --class 3`. Without a class, each network's own answer
is explained. The colours of each row of frames span its own values: dark is the smallest, pale the largest.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from videozoo.cli.show_rows import add_picture_arguments

if TYPE_CHECKING:
    from torch import Tensor

DEFAULT_MODEL = "tsm_resnet10_tiny.moving_digits"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo show gradcam`."""
    add_picture_arguments(parser, DEFAULT_MODEL)


def run(arguments: argparse.Namespace) -> int:
    """Write the picture."""
    from videozoo.visualization.heat import labelled_strips
    from videozoo.visualization.images import save_picture

    rows: list[tuple[str, Tensor]] = []
    for name in arguments.model or [DEFAULT_MODEL]:
        rows += network_rows(arguments.video, name, arguments.target, first=not rows)
    save_picture(labelled_strips(rows), arguments.out)
    print(f"picture: {arguments.out}")
    return 0


def network_rows(video: str, name: str, target: int | None, *, first: bool) -> list[tuple[str, "Tensor"]]:
    """The frames with the class's heat, and before the first network's the frames as they are."""
    from videozoo.cli.models import load_or_create
    from videozoo.data.reading import read_views
    from videozoo.visualization.grad_cam import heat_row
    from videozoo.visualization.heat import to_pixels

    model = load_or_create(name)
    clip = read_views(video, model.clip_spec)[:1]
    rows = [(Path(video).name, to_pixels(clip[0], model.clip_spec))] if first else []
    return [*rows, heat_row(model, clip, target, name)]
