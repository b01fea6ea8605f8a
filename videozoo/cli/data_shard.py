"""Pack a data set's videos into sharded tar archives with an index, a folder for each part.

Example: `videozoo data shard ucf101 /data/UCF101 shards/ --parts train test --videos 500`. Videos stay as they are.
"""

import argparse
from pathlib import Path

from videozoo.errors import UnknownNameError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo data shard`."""
    parser.add_argument("name", help="video_folder, ucf101, hmdb51, kinetics, something_something, ...")
    parser.add_argument("root", help="folder of the data set")
    parser.add_argument("out", type=Path, help="folder of the shards")
    parser.add_argument("--parts", nargs="+", choices=("train", "val", "test"), default=("train", "val"))
    parser.add_argument("--videos", type=int, default=500, help="videos in a shard; many shards split more evenly")
    parser.add_argument("--seed", type=int, default=0, help="of the order of the videos")


def run(arguments: argparse.Namespace) -> int:
    """Write the shards and say how many videos are in them."""
    from videozoo.clip_spec import ClipSpec
    from videozoo.data.datamodules import DATA_MODULES
    from videozoo.data.shards import read_index, write_shards

    if arguments.name not in DATA_MODULES:
        raise UnknownNameError("data set", arguments.name, DATA_MODULES)
    data = DATA_MODULES[arguments.name](arguments.root, clip_spec=ClipSpec(8, 224, 256))
    for part in arguments.parts:
        listed = data.dataset(part).annotations
        for _ in write_shards(listed, arguments.out / part, videos=arguments.videos, seed=arguments.seed):
            pass
        index = read_index(arguments.out / part)
        print(f"{part}: {index.videos} videos in {len(index.shards)} shards, {len(index.classes)} classes")
    return 0
