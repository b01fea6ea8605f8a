"""Which code is running: a measured figure is worth nothing without it."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def code_identity() -> dict[str, str]:
    """``commit`` where this package runs from its own checkout, else ``version``."""
    import videozoo

    try:
        asked = ["git", "-C", str(ROOT), "rev-parse", "--show-toplevel", "--short=12", "HEAD"]
        folder, commit = subprocess.run(asked, check=True, capture_output=True, text=True).stdout.split("\n")[:2]
        if Path(folder).samefile(ROOT):  # and not somebody's repository with an environment inside
            return {"commit": commit.strip()}
    except (OSError, ValueError, subprocess.CalledProcessError):
        pass
    return {"version": f"videozoo {videozoo.__version__}"}
