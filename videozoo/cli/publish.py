"""Publish a checkpoint to a hub: weights, row, class names, licence and model card in one commit, then a tag.

Prints the row, with its new home, as it goes into the manifest. Uses the login of `hf auth login`, and HF_ENDPOINT; a
private hub without Xet storage also needs HF_HUB_DISABLE_XET=1.
"""

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo publish`."""
    parser.add_argument("source", help="a checkpoint folder, or a name")
    parser.add_argument("--repo-id", required=True, metavar="OWNER/NAME")
    parser.add_argument("--private", action="store_true", help="only for those who may see the repository")
    parser.add_argument("--tag", help="default: v1, or the number after the last")
    parser.add_argument("--dry-run", action="store_true", help="prepare and check everything, send nothing")
    parser.add_argument("--cache-dir")


def run(arguments: argparse.Namespace) -> int:
    """Publish and print the row."""
    from videozoo.hub.publish import publish_model
    from videozoo.hub.row_text import row_as_yaml

    row = publish_model(
        arguments.source,
        arguments.repo_id,
        private=arguments.private,
        dry_run=arguments.dry_run,
        tag=arguments.tag,
        cache_dir=arguments.cache_dir,
    )
    home = row.sources[0]
    done = "would be published as" if arguments.dry_run else "published as"
    print(f"videozoo: {row.name} {done} {arguments.repo_id}@{getattr(home, 'tag', None)}", file=sys.stderr)
    sys.stdout.write(row_as_yaml(row))
    return 0
