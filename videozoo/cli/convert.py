"""Convert upstream weights: a name of the manifest, a url or a file becomes a folder that load_model reads.

The layout is recognised from the tensors' names, the architecture from their shapes. Files are read as tensors only:
what needs more than that to be unpickled is refused.
"""

import argparse

from videozoo.cli.settings import add_setting_option, parse_setting


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo convert`."""
    parser.add_argument("source", help="a checkpoint of the manifest, an https:// url, or a file")
    parser.add_argument("--to", metavar="DIR", help="folder to write (default for manifest names: the cache)")
    parser.add_argument("--as", dest="row", metavar="NAME", help="the file is the upstream file of this checkpoint")
    parser.add_argument("--layout", help="skip recognition: the layout's name")
    parser.add_argument("--arch", help="the architecture, where several have equal shapes")
    parser.add_argument("--dataset", help="class names: kinetics400, ssv1, ssv2, ucf101, hmdb51")
    parser.add_argument("--frames", type=int, help="segments or frames of a clip, where the file does not say")
    add_setting_option(parser, "--set", "hyperparameters of the method")
    parser.add_argument("--cache-dir", help="cache folder of downloads")
    parser.add_argument("--local-files-only", action="store_true", help="never ask the network")


def run(arguments: argparse.Namespace) -> int:
    """Convert and say what it was."""
    from videozoo.hub.convert import Choices, convert
    from videozoo.hub.find import Search

    choices = Choices(
        row=arguments.row,
        layout=arguments.layout,
        arch=arguments.arch,
        dataset=arguments.dataset,
        frames=arguments.frames,
        hyperparameters=dict(parse_setting(text) for text in arguments.set),
    )
    search = Search.of(arguments.cache_dir, local_files_only=arguments.local_files_only)
    row, folder = convert(arguments.source, arguments.to, choices, search)
    labels = row.labels.set if row.labels else "none"
    print(f"{row.name}: {row.arch}, {row.num_classes} classes (names: {labels}), {row.clip_spec.frames} frames")
    print(f"{folder / row.file.path}: {row.file.size} bytes, sha256 {row.file.sha256}")
    return 0
