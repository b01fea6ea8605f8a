"""Draw a video's time line with its frames grouped as the full-video network groups them.

Example: `videozoo show clusters clip.mp4 clusters.png --grouping cumulative --grouping uniform`. The bars are the
Hamming distances between neighbouring frames, each strip one grouping, each colour one cluster. With several models
(such as one before and one after training) their strips stand below each other.
"""

import argparse

from videozoo.cli.show_rows import add_picture_arguments, draw_rows
from videozoo.errors import SettingError

DEFAULT_MODEL = "fullvideo_tsm_resnet10_tiny.moving_digits"
GROUPINGS = ("cumulative", "slope", "uniform")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo show clusters`."""
    add_picture_arguments(parser, DEFAULT_MODEL, target=False)
    parser.add_argument("--grouping", action="append", choices=GROUPINGS, help="default: the model's own, or all")
    parser.add_argument("--clusters", type=int, default=None, help="default: the model's own number, or 8")
    parser.add_argument("--frames", type=int, default=32, help="frames read, spread over the video")


def run(arguments: argparse.Namespace) -> int:
    """Write the picture."""
    if arguments.frames < 2 or (arguments.clusters is not None and arguments.clusters < 1):
        raise SettingError(f"--frames {arguments.frames}, --clusters {arguments.clusters}: at least 2 and 1")

    from videozoo.visualization.frame_choice import cluster_rows

    return draw_rows(
        arguments,
        DEFAULT_MODEL,
        lambda _: arguments.frames,
        lambda model, clip, name: cluster_rows(model, clip, arguments.grouping or [], arguments.clusters, name),
    )
