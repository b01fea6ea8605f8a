"""Draw where a position of a video looks, over the frames, for one network or several beside each other.

Example: `videozoo show attention clip.mp4 looks.png --at 3,120,96 --model NAME --model OTHER`. The position is a frame
of the clip, a row and a column in pixels of what the network sees; a red ring marks it. The colours of each row of
frames span its own weights: dark is the smallest, pale the largest.
"""

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from videozoo.errors import SettingError

if TYPE_CHECKING:
    from torch import Tensor

DEFAULT_MODEL = "rnl_tsm_resnet10_tiny.moving_digits"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo show attention`."""
    parser.add_argument("video", help="a video file, or a folder of pictures")
    parser.add_argument("out", type=Path, help="picture to write, .png or .jpg")
    parser.add_argument("--at", required=True, metavar="T,Y,X", help="frame, row and column, counted from 0")
    parser.add_argument(
        "--model", action="append", help=f"checkpoint, or an architecture (random weights); default {DEFAULT_MODEL}"
    )
    parser.add_argument("--block", action="append", metavar="STAGE.BLOCK", help="blocks to draw (default: the first)")


def run(arguments: argparse.Namespace) -> int:
    """Write the picture."""
    position = parse_position(arguments.at)

    from videozoo.visualization.heat import labelled_strips
    from videozoo.visualization.images import save_picture

    rows: list[tuple[str, Tensor]] = []
    for name in arguments.model or [DEFAULT_MODEL]:
        rows += network_rows(arguments.video, name, position, arguments.block or [None], first=not rows)
    save_picture(labelled_strips(rows), arguments.out)
    print(f"picture: {arguments.out}")
    return 0


def parse_position(text: str) -> tuple[int, int, int]:
    """Frame, row and column as in ``3,120,96``."""
    match = re.fullmatch(r"(\d+),(\d+),(\d+)", text)
    if match is None:
        raise SettingError(f"--at {text!r}: must be frame,row,column, as in 3,120,96")
    t, y, x = map(int, match.groups())
    return t, y, x


def network_rows(
    video: str, name: str, position: tuple[int, int, int], places: list[str | None], *, first: bool
) -> list[tuple[str, "Tensor"]]:
    """A row of frames a block, and before the first one the frames as they are."""
    from videozoo.cli.models import load_or_create
    from videozoo.data.reading import read_views
    from videozoo.visualization.attention import look_row
    from videozoo.visualization.heat import mark, to_pixels

    model = load_or_create(name)
    spec = model.clip_spec
    clip = read_views(video, spec)[:1]
    rows = [look_row(model, clip, spec, position, place, name) for place in places]
    if first:
        frames = mark(to_pixels(clip[0], spec), position)
        rows.insert(0, (f"{Path(video).name}, looking from frame {position[0]}", frames))
    return rows
