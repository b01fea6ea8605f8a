"""Draw how much each segment of a video counts for a DATP network, over the scores of two classes.

Example: `videozoo show weights clip.mp4 weights.png --model NAME --class 3`. Bars are the weights, lines the softmax
scores of the class (without one, of the network's answer) and of its strongest rival.
"""

import argparse
from pathlib import Path

DEFAULT_MODEL = "datp_tsm_resnet10_tiny.moving_digits"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo show weights`."""
    parser.add_argument("video", help="a video file, or a folder of pictures")
    parser.add_argument("out", type=Path, help="picture to write, .png or .jpg")
    parser.add_argument(
        "--model", action="append", help=f"checkpoint, or an architecture (random weights); default {DEFAULT_MODEL}"
    )
    parser.add_argument("--class", dest="target", type=int, default=None, help="class number (default: the best)")


def run(arguments: argparse.Namespace) -> int:
    """Write the picture."""
    from videozoo.cli.models import load_or_create
    from videozoo.errors import SettingError
    from videozoo.visualization.frame_choice import read_evenly, shown_frames, weight_row
    from videozoo.visualization.images import save_picture
    from videozoo.visualization.timeline import Row, timeline

    rows: list[Row] = []
    frames = None
    for name in arguments.model or [DEFAULT_MODEL]:
        model = load_or_create(name)
        clip = read_evenly(arguments.video, model.clip_spec, model.clip_spec.segments)
        rows.append(weight_row(model, clip, arguments.target, name))
        shown = shown_frames(clip, model.clip_spec)
        if frames is not None and len(shown) != len(frames):
            raise SettingError(f"{name}: {len(shown)} segments; the models before it have {len(frames)}")
        frames = shown if frames is None else frames
    assert frames is not None
    save_picture(timeline(Path(arguments.video).name, frames, rows), arguments.out)
    print(f"picture: {arguments.out}")
    return 0
