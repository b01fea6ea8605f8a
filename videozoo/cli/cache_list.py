"""List what lies in the cache of downloaded and converted weights."""

import argparse

from videozoo.cli.console import table_console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo cache list`."""
    parser.add_argument("--cache-dir", help="the cache folder (default: $VIDEOZOO_CACHE or ~/.cache/videozoo)")


def run(arguments: argparse.Namespace) -> int:
    """Print the entries and their sum."""
    from rich.table import Table

    from videozoo.hub.cache import cache_root
    from videozoo.hub.cache_contents import list_cache

    root = cache_root(arguments.cache_dir)
    entries = list_cache(root)
    table = Table("kind", "name", "MB", "days since use", box=None)
    for entry in entries:
        table.add_row(entry.kind, entry.name, f"{entry.size / 1e6:.1f}", f"{entry.idle_days:.0f}")
    if entries:
        table_console().print(table)
    print(f"{root}: {len(entries)} entries, {sum(entry.size for entry in entries) / 1e6:.1f} MB")
    return 0
