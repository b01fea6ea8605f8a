"""Export a network for other runtimes, with any batch size, and compare the file's scores with the network's.

ONNX needs the extra `export`: pip install 'videozoo[export]'.
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo export`."""
    parser.add_argument("name", help="a checkpoint, a folder, owner/repo, or an architecture (random weights)")
    parser.add_argument("--format", choices=("torch-export", "onnx"), default="torch-export")
    parser.add_argument("--out", metavar="FILE", help="default: the name with .pt2 or .onnx, here")


def run(arguments: argparse.Namespace) -> int:
    """Write the file and say how close it is."""
    from pathlib import Path

    from videozoo.cli.models import load_or_create
    from videozoo.hub.export import SUFFIXES, export_model

    model = load_or_create(arguments.name)
    stem = arguments.name.rstrip("/").split("/")[-1].replace("@", "_")
    path = Path(arguments.out or f"{stem}{SUFFIXES[arguments.format]}")
    path.parent.mkdir(parents=True, exist_ok=True)
    difference = export_model(model, path, arguments.format)
    print(f"{path}: {path.stat().st_size} bytes, scores within {difference:.1e} of the largest one")
    return 0
