"""Durations on the command line: 2s, 500ms, 1.5, 1m, 1h."""

import argparse
import re

SECONDS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def duration(text: str) -> float:
    """Seconds; a number without a unit counts as such.

    Raises:
        ArgumentTypeError: for anything else, and for what is not longer than nothing.
    """
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*(ms|s|m|h|)", text.strip())
    if match is None or float(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a positive duration such as 2s, 500ms, 1.5 or 1m")
    return float(match[1]) * SECONDS[match[2]]
