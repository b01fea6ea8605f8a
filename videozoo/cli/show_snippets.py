"""Draw which snippets of a video PBNet's rules choose, and how far each is from the whole.

Example: `videozoo show snippets clip.mp4 snippets.png --model BEFORE --model AFTER`. Below each snippet stands the
divergence KL(whole || snippet) of the class probabilities; red frames are the subset that the rule takes of all there
are. The max-rule needs the true `--class`; without one the network's answer stands for it.
"""

import argparse

from videozoo.cli.show_rows import add_picture_arguments, draw_rows
from videozoo.errors import SettingError

DEFAULT_MODEL = "pbnet_tsm_resnet10_tiny.moving_digits"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo show snippets`."""
    add_picture_arguments(parser, DEFAULT_MODEL)
    parser.add_argument("--snippets", type=int, default=12, help="snippets watched, spread over the video")
    parser.add_argument("--chosen", type=int, default=3)
    parser.add_argument("--rule", choices=("kl", "max", "loss_difference"), default="kl")


def run(arguments: argparse.Namespace) -> int:
    """Write the picture."""
    if arguments.snippets < 1:
        raise SettingError(f"--snippets {arguments.snippets}: must be at least 1")

    from videozoo.visualization.frame_choice import snippet_row

    return draw_rows(
        arguments,
        DEFAULT_MODEL,
        lambda _: arguments.snippets,
        lambda model, clip, name: [snippet_row(model, clip, arguments.chosen, arguments.rule, arguments.target, name)],
    )
