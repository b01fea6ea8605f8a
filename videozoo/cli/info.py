"""Show all that is known of a checkpoint: architecture, input, licence, figures with their protocols, sources."""

import argparse
import json
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo info`."""
    parser.add_argument("name", help="a checkpoint of the manifest, or a folder")
    parser.add_argument(
        "--format", choices=("text", "json", "yaml"), default="text", help="yaml: as the manifest has it"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the row."""
    from videozoo.hub.manifest import model_info

    row = model_info(arguments.name)
    if arguments.format == "json":
        print(json.dumps(row.to_dict(), indent=2, ensure_ascii=False))
        return 0
    from videozoo.hub.row_text import row_as_yaml

    text = row_as_yaml(row)
    if arguments.format == "yaml":
        sys.stdout.write(text)
    else:
        sys.stdout.write(text.removeprefix("- ").replace("\n  ", "\n"))
    return 0
