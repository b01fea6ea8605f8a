"""Draw a video's time line with its frames grouped as the full-video network groups them.

Example: `videozoo show clusters clip.mp4 clusters.png --grouping cumulative --grouping uniform`. The bars are the
Hamming distances between neighbouring frames, each strip one grouping, each colour one cluster. With several models
(such as one before and one after training) their strips stand below each other.
"""

import argparse
from pathlib import Path

from videozoo.errors import SettingError

DEFAULT_MODEL = "fullvideo_tsm_resnet10_tiny.moving_digits"
GROUPINGS = ("cumulative", "slope", "uniform")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo show clusters`."""
    parser.add_argument("video", help="a video file, or a folder of pictures")
    parser.add_argument("out", type=Path, help="picture to write, .png or .jpg")
    parser.add_argument(
        "--model", action="append", help=f"checkpoint, or an architecture (random weights); default {DEFAULT_MODEL}"
    )
    parser.add_argument("--grouping", action="append", choices=GROUPINGS, help="default: the model's own, or all")
    parser.add_argument("--clusters", type=int, default=None, help="default: the model's own number, or 8")
    parser.add_argument("--frames", type=int, default=32, help="frames read, spread over the video")


def run(arguments: argparse.Namespace) -> int:
    """Write the picture."""
    if arguments.frames < 2 or (arguments.clusters is not None and arguments.clusters < 1):
        raise SettingError(f"--frames {arguments.frames}, --clusters {arguments.clusters}: at least 2 and 1")

    from videozoo.cli.models import load_or_create
    from videozoo.visualization.frame_choice import cluster_rows, read_evenly, shown_frames
    from videozoo.visualization.images import save_picture
    from videozoo.visualization.timeline import Row, timeline

    rows: list[Row] = []
    frames = None
    for name in arguments.model or [DEFAULT_MODEL]:
        model = load_or_create(name)
        clip = read_evenly(arguments.video, model.clip_spec, arguments.frames)
        frames = shown_frames(clip, model.clip_spec) if frames is None else frames
        rows += cluster_rows(model, clip, arguments.grouping or [], arguments.clusters, name)
    assert frames is not None
    save_picture(timeline(Path(arguments.video).name, frames, rows), arguments.out)
    print(f"picture: {arguments.out}")
    return 0
