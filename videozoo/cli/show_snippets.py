"""Draw which snippets of a video PBNet's rules choose, and how far each is from the whole.

Example: `videozoo show snippets clip.mp4 snippets.png --model BEFORE --model AFTER`. Below each snippet stands the
divergence KL(whole || snippet) of the class probabilities; red frames are the subset that the rule takes of all there
are. The max-rule needs the true `--class`; without one the network's answer stands for it.
"""

import argparse
from pathlib import Path

from videozoo.errors import SettingError

DEFAULT_MODEL = "pbnet_tsm_resnet10_tiny.moving_digits"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo show snippets`."""
    parser.add_argument("video", help="a video file, or a folder of pictures")
    parser.add_argument("out", type=Path, help="picture to write, .png or .jpg")
    parser.add_argument(
        "--model", action="append", help=f"checkpoint, or an architecture (random weights); default {DEFAULT_MODEL}"
    )
    parser.add_argument("--snippets", type=int, default=12, help="snippets watched, spread over the video")
    parser.add_argument("--chosen", type=int, default=3)
    parser.add_argument("--rule", choices=("kl", "max", "loss_difference"), default="kl")
    parser.add_argument("--class", dest="target", type=int, default=None, help="class number (default: the best)")


def run(arguments: argparse.Namespace) -> int:
    """Write the picture."""
    if arguments.snippets < 1:
        raise SettingError(f"--snippets {arguments.snippets}: must be at least 1")

    from videozoo.cli.models import load_or_create
    from videozoo.visualization.frame_choice import read_evenly, shown_frames, snippet_row
    from videozoo.visualization.images import save_picture
    from videozoo.visualization.timeline import Row, timeline

    rows: list[Row] = []
    frames = None
    for name in arguments.model or [DEFAULT_MODEL]:
        model = load_or_create(name)
        clip = read_evenly(arguments.video, model.clip_spec, arguments.snippets)
        frames = shown_frames(clip, model.clip_spec) if frames is None else frames
        rows.append(snippet_row(model, clip, arguments.chosen, arguments.rule, arguments.target, name))
    assert frames is not None
    save_picture(timeline(Path(arguments.video).name, frames, rows), arguments.out)
    print(f"picture: {arguments.out}")
    return 0
