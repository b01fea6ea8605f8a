"""Settings by name on the command line."""

import argparse
from typing import Any

from videozoo.errors import SettingError


def add_setting_option(parser: argparse._ActionsContainer, option: str, text: str) -> None:
    """An option that takes several NAME=VALUE, and may be given several times."""
    parser.add_argument(option, nargs="+", action="extend", default=[], metavar="NAME=VALUE", help=text)


def parse_setting(text: str, option: str = "--set") -> tuple[str, Any]:
    """NAME=VALUE, the value read as YAML has it: a number, true or false, a list such as [1, 2], else a text.

    Raises:
        SettingError: when there is no equals sign.
    """
    import yaml

    name, sign, value = text.partition("=")
    if not sign or not name:
        raise SettingError(f"{option} {text!r}: must be NAME=VALUE")
    try:
        plain = yaml.safe_load(value)
    except yaml.YAMLError:
        return name, value
    return name, plain if isinstance(plain, bool | int | float | str | list) else value
