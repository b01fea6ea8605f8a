"""Two streams: one network sees the pictures, one the optical flow between them (TVNet); their scores are fused.

    python examples/two_stream_fusion.py
    python examples/two_stream_fusion.py my_videos/ --rgb my_rgb/ --flow my_flow/

Both answer the same files (a folder per class); the tables of scores are those of `videozoo test --scores`, and
`videozoo fuse rgb.csv flow.csv --weights 1 1.5` says the same.
"""

import argparse
from pathlib import Path

import torch

from videozoo import load_model
from videozoo.data.moving_digits_files import write_digit_videos
from videozoo.data.video_files import find_video_files
from videozoo.inference.fuse import ScoreTable, fuse_tables, write_scores

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("folder", nargs="?", type=Path)
parser.add_argument("--rgb", default="tsm_resnet10_tiny.moving_digits")
parser.add_argument("--flow", default="tvnet_tsm_resnet10_tiny.moving_digits")
parser.add_argument("--weights", type=float, nargs=2, default=[1.0, 1.5], help="of RGB and flow, as TSN has them")
arguments = parser.parse_args()

files = (
    find_video_files(arguments.folder) if arguments.folder else write_digit_videos("digits", 16, seed=5, part="test")
)


def answer(name: str) -> ScoreTable:
    """The scores of one stream, before softmax."""
    model = load_model(name)
    scores = torch.stack([prediction.scores for prediction in model.predict(files)])
    return ScoreTable(tuple(map(str, files)), model.labels, scores)


def right(table: ScoreTable) -> str:
    """How many videos are named rightly, by the folders that they lie in, and how sure of it the network is."""
    truth = torch.tensor([table.classes.index(Path(file).parent.name) for file in table.files])
    count = int((table.scores.argmax(dim=1) == truth).sum())
    sure = table.scores.softmax(dim=1)[range(len(truth)), truth].mean()
    return f"{count} of {len(truth)} videos rightly named, probability of the right class {sure:.4f}"


rgb, flow = answer(arguments.rgb), answer(arguments.flow)
fused = fuse_tables([rgb, flow], arguments.weights)
for name, table in {"rgb": rgb, "flow": flow, "fused": fused}.items():
    write_scores(table, f"{name}.csv")
    print(f"{name}.csv: {right(table)}")
