"""Write moving-digits videos as mp4 files with their labels and per-frame truth.

Example: `videozoo make-digits digits/train --videos 1800`, then `videozoo make-digits digits/test --videos 600 --part
test`. The parts share neither digits nor backgrounds. The same settings give the same bytes.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo make-digits`."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="new or empty folder, or one made by this verb")
    parser.add_argument("--videos", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--part", choices=("train", "test"), default="train")
    parser.add_argument("--size", type=int, default=128, help="side of the square frames in pixels, even")
    parser.add_argument("--frames", type=int, default=32, help="frames of a video")
    parser.add_argument(
        "--mnist", metavar="DIR", help="folder with MNIST's idx files, packed or plain; else drawn digits"
    )
    parser.add_argument("--backgrounds", metavar="DIR_OR_GLOB", help="videos to put behind; else drawn textures")


def run(arguments: argparse.Namespace) -> int:
    """Write the set and say where."""
    from videozoo.data.moving_digits_files import write_digit_videos

    files = write_digit_videos(**vars(arguments))
    print(f"{len(files)} videos, annotations.csv and relevance.csv in {arguments.directory}")
    return 0
