"""Read everything in the cache again and compare sizes and hashes; exit status 1 if something is damaged."""

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo cache verify`."""
    parser.add_argument("--cache-dir", help="the cache folder (default: $VIDEOZOO_CACHE or ~/.cache/videozoo)")


def run(arguments: argparse.Namespace) -> int:
    """Print one line an entry."""
    from videozoo.errors import VideozooError
    from videozoo.hub.cache import cache_root
    from videozoo.hub.cache_contents import list_cache, verify

    damaged = 0
    for entry in list_cache(cache_root(arguments.cache_dir)):
        try:
            print(f"{entry.kind} {entry.name}: {verify(entry)}")
        except VideozooError as error:
            damaged += 1
            print(f"videozoo: {entry.kind} {entry.name}: {error}", file=sys.stderr)
    return 1 if damaged else 0
