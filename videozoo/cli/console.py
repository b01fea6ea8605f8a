"""Where tables are printed: as wide as the terminal, or as wide as they are when a file or a pipe takes them."""

import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 1000  # columns; no row of ours is longer


def table_console(stream: TextIO | None = None) -> "Console":
    """A console for tables on a stream, standard output without one."""
    from rich.console import Console

    stream = stream or sys.stdout
    return Console(file=stream, soft_wrap=True, width=None if stream.isatty() else PIPE_WIDTH)
