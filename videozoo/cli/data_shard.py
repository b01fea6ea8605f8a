"""Pack a data set's videos into sharded tar archives with an index, a folder for each part.

Example: `videozoo data shard ucf101 /data/UCF101 shards/ --parts train test --videos 500`. Videos stay as they are.
"""

import argparse
from pathlib import Path

from videozoo.cli.data_sets import NAMES, add_setting_arguments, create_data


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo data shard`."""
    parser.add_argument("name", help=NAMES)
    parser.add_argument("root", help="folder of the data set")
    parser.add_argument("out", type=Path, help="folder of the shards")
    parser.add_argument("--parts", nargs="+", choices=("train", "val", "test"), default=("train", "val"))
    add_setting_arguments(parser)
    parser.add_argument("--videos", type=int, default=500, help="videos in a shard; many shards split more evenly")
    parser.add_argument("--seed", type=int, default=0, help="of the order of the videos")


def run(arguments: argparse.Namespace) -> int:
    """Write the shards and say how many videos are in them."""
    from videozoo.clip_spec import ClipSpec
    from videozoo.data.shards import read_index, write_shards

    data = create_data(arguments.name, arguments.root, arguments, ClipSpec(8, 224, 256))
    for part in arguments.parts:
        listed = data.dataset(part).annotations
        for _ in write_shards(listed, arguments.out / part, videos=arguments.videos, seed=arguments.seed):
            pass
        index = read_index(str(arguments.out), part)
        print(f"{part}: {index.videos} videos in {len(index.shards)} shards, {len(index.classes)} classes")
    return 0
