"""Draw how much each segment of a video counts for a DATP network, over the scores of two classes.

Example: `videozoo show weights clip.mp4 weights.png --model NAME --class 3`. Bars are the weights, lines the softmax
scores of the class (without one, of the network's answer) and of its strongest rival.
"""

import argparse

from videozoo.cli.show_rows import add_picture_arguments, draw_rows

DEFAULT_MODEL = "datp_tsm_resnet10_tiny.moving_digits"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo show weights`."""
    add_picture_arguments(parser, DEFAULT_MODEL)


def run(arguments: argparse.Namespace) -> int:
    """Write the picture."""
    from videozoo.visualization.frame_choice import weight_row

    return draw_rows(
        arguments,
        DEFAULT_MODEL,
        lambda model: model.clip_spec.segments,
        lambda model, clip, name: [weight_row(model, clip, arguments.target, name)],
    )
