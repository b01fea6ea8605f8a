"""Where downloaded and converted weights are kept, and what may be written there.

    ROOT/hub/             files of hub repositories, as huggingface_hub keeps them
    ROOT/files/           upstream files, before conversion
    ROOT/checkpoints/     one folder a checkpoint that was converted or fetched from a plain url

ROOT is ``cache_dir``, else ``$VIDEOZOO_CACHE``, else ``$XDG_CACHE_HOME/videozoo``, else ``~/.cache/videozoo``.
"""

import hashlib
import os
import re
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from videozoo.errors import CheckpointError


def cache_root(cache_dir: str | Path | None = None) -> Path:
    """The folder of everything that this package keeps; it need not exist."""
    if cache_dir is not None:
        return Path(cache_dir).expanduser()
    if os.environ.get("VIDEOZOO_CACHE"):
        return Path(os.environ["VIDEOZOO_CACHE"]).expanduser()
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(home).expanduser() / "videozoo"


def hub_folder(root: Path) -> Path:
    """The folder that is handed to huggingface_hub as its cache."""
    return root / "hub"


def checkpoint_folder(root: Path, name: str) -> Path:
    """The folder of one checkpoint of the manifest."""
    return inside(root / "checkpoints", name)


def upstream_file(root: Path, url: str) -> Path:
    """Where the file behind a url is kept: its own name in a folder that only this url has."""
    last = PurePosixPath(unquote(urlsplit(url).path)).name
    name = re.sub(r"[^A-Za-z0-9._-]", "_", last).lstrip(".")[:120] or "file"
    return inside(root / "files", f"{hashlib.sha256(url.encode()).hexdigest()[:16]}/{name}")


def inside(folder: Path, relative: str) -> Path:
    """The path below ``folder``.

    Raises:
        CheckpointError: when it would lead out of the folder, also by a symbolic link.
    """
    path = folder / relative
    resolved, home = path.resolve(), folder.resolve()
    if home not in resolved.parents:
        raise CheckpointError(f"{relative!r} leads out of {folder}")
    return path
