"""Remove unfinished downloads and damaged entries from the cache, and what the options name."""

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo cache prune`."""
    parser.add_argument("--cache-dir", help="the cache folder (default: $VIDEOZOO_CACHE or ~/.cache/videozoo)")
    parser.add_argument("--upstream", action="store_true", help="also upstream files, needed for conversion only")
    parser.add_argument("--older-than", type=float, metavar="DAYS", help="also what was not used for so long")
    parser.add_argument("--all", action="store_true", help="everything")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")


def run(arguments: argparse.Namespace) -> int:
    """Print what is removed."""
    from videozoo.errors import CheckpointError
    from videozoo.hub.cache import cache_root
    from videozoo.hub.cache_contents import Entry, is_damaged, list_cache, remove

    def unwanted(entry: Entry) -> bool:
        return (
            arguments.all
            or entry.kind == "partial"
            or (arguments.upstream and entry.kind == "upstream")
            or (arguments.older_than is not None and entry.idle_days > arguments.older_than)
            or is_damaged(entry) is not None
        )

    root = cache_root(arguments.cache_dir)
    freed = failed = 0
    for entry in list_cache(root):
        if unwanted(entry):
            print(f"{'would remove' if arguments.dry_run else 'removed'} {entry.kind} {entry.name}")
            try:
                if not arguments.dry_run:
                    remove(entry, root)
                freed += entry.size
            except CheckpointError as error:
                failed += 1
                print(f"videozoo: {error}", file=sys.stderr)
    print(f"{root}: {freed / 1e6:.1f} MB")
    return 1 if failed else 0
