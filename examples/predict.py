"""What is in these videos? Loads a network by name and answers files that it has never seen.

python examples/predict.py                                     # makes four videos of moving digits
python examples/predict.py my_videos/ --model x3d_s.fb_k400    # your own (see: videozoo list)
"""

import argparse
from pathlib import Path

from videozoo import load_model
from videozoo.data.moving_digits_files import write_digit_videos
from videozoo.data.video_files import find_video_files

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("folder", nargs="?", type=Path, help="videos, also in folders below it")
parser.add_argument("--model", default="tsm_resnet10_tiny.moving_digits")
arguments = parser.parse_args()

if arguments.folder is None:
    files = write_digit_videos("digits", videos=4, seed=7, part="test")  # digits/CLASS/digits_00000.mp4 ...
else:
    files = find_video_files(arguments.folder)

model = load_model(arguments.model)
print(f"{arguments.model} sees {model.clip_spec.frames} frames and knows {len(model.labels)} classes")

# One call for all: reading goes on while the network computes. A file that is no video gives a Failure in its place.
for prediction in model.predict(files, topk=3):
    print(prediction)

# Three crops at each of two places in time, averaged: slower, and often a little better.
careful = model.predict(files[0], views="2x3")
print(f"with 2x3 views {files[0].name} is {careful.label!r} with probability {careful.probability:.3f}")
