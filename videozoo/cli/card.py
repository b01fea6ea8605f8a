"""Write model cards, byte for byte as `videozoo publish` would.

Example: `videozoo card --out docs/cards` writes NAME.md for every checkpoint that comes with the package.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo card`."""
    parser.add_argument(
        "source", nargs="*", help="names or checkpoint folders; default: all that come with the package"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the cards, made if need be")
    parser.add_argument("--owner", default="videozoo", help="of the repositories OWNER/NAME that the cards load from")
    parser.add_argument("--cache-dir")


def run(arguments: argparse.Namespace) -> int:
    """Make all cards, then write them."""
    from videozoo.hub.manifest import embedded_models
    from videozoo.hub.publish import published_card

    cards = dict(
        published_card(source, f"{arguments.owner}/{Path(source).name}", cache_dir=arguments.cache_dir)
        for source in arguments.source or embedded_models()
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, card in cards.items():
        (arguments.out / f"{name}.md").write_text(card, encoding="utf-8")
        print(arguments.out / f"{name}.md")
    return 0
