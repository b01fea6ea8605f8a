"""Files of hub repositories, by huggingface_hub, its many errors told in one line each."""

import os
import re
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from videozoo.errors import CheckpointError, VideozooError

CONNECT_SECONDS = 10.0


class OfflineError(CheckpointError):
    """The file is not in the cache, and the network is off or out of reach."""


class AbsentError(CheckpointError):
    """There is no such repository, revision or file, or it may not be seen."""


def fetch_from_hub(repo_id: str, filename: str, *, revision: str, folder: Path, local_files_only: bool = False) -> Path:
    """A file of a repository, from the cache if it is there; ``folder`` is huggingface_hub's cache folder.

    The folder that holds the file is called like the commit, whatever ``revision`` (branch, tag or commit) named.
    A file of a given commit never changes: if it is cached, the network is not asked.

    Raises:
        OfflineError: when it is not cached and cannot be fetched now.
        AbsentError: when the hub says that there is no such thing, or not for this user.
        CheckpointError: when it cannot be written.
    """
    from huggingface_hub import hf_hub_download

    import videozoo

    with told_in_one_line(f"{repo_id}@{revision}, {filename}"):
        cached = local_files_only or is_offline()
        if not cached and re.fullmatch("[0-9a-f]{40}", revision):
            from huggingface_hub import try_to_load_from_cache

            known = try_to_load_from_cache(repo_id, filename, cache_dir=folder, revision=revision)
            cached = isinstance(known, str)
        path = hf_hub_download(
            repo_id,
            filename,
            revision=revision,
            cache_dir=folder,
            endpoint=endpoint(),
            local_files_only=cached or not is_reachable(endpoint()),
            library_name="videozoo",
            library_version=videozoo.__version__,
        )
    return Path(path)


def endpoint() -> str:
    """The address of the hub."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def is_offline() -> bool:
    """Whether the user has switched the network off by HF_HUB_OFFLINE."""
    return os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on")


def is_reachable(address: str) -> bool:
    """Whether somebody answers there; asked first, since the client would try again for half a minute.

    Behind a proxy that cannot be said from here and is taken for granted.
    """
    url = urlsplit(address)
    if urllib.request.getproxies().get(url.scheme):
        return True
    try:
        port = url.port or (443 if url.scheme == "https" else 80)
        socket.create_connection((url.hostname or "", port), timeout=CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


@contextmanager
def told_in_one_line(what: str) -> Iterator[None]:
    """Turn the errors of huggingface_hub and its http client into one line of ours.

    Raises:
        OfflineError: no network, or it is switched off.
        AbsentError: no such repository, revision or file, or it is gated.
        CheckpointError: anything else, a full disk among it.
    """
    from huggingface_hub import errors

    told: tuple[tuple[type[Exception], type[CheckpointError], str], ...] = (
        (errors.GatedRepoError, AbsentError, "gated; ask for access on its page and log in (`hf auth login`)"),
        (errors.RepositoryNotFoundError, AbsentError, "no such repository, or it is private: log in (`hf auth login`)"),
        (errors.RevisionNotFoundError, AbsentError, "no such branch, tag or commit"),
        (errors.RemoteEntryNotFoundError, AbsentError, "no such file in this repository"),
        (errors.LocalEntryNotFoundError, OfflineError, "not in the cache, and the hub is out of reach or switched off"),
        (errors.LocalTokenNotFoundError, AbsentError, "needs a login (`hf auth login`)"),
        (errors.OfflineModeIsEnabled, OfflineError, "not in the cache, and the hub is switched off"),
    )
    try:
        yield
    except VideozooError:
        raise
    except Exception as error:
        for kind, ours, text in told:
            if isinstance(error, kind):
                raise ours(f"{what}: {text}") from error
        raise _other(what, error) from error


def _other(what: str, error: Exception) -> Exception:
    """A full disk and the like by the system's words; what the http client says by its first line."""
    if isinstance(error, OSError) and error.errno is not None:
        return CheckpointError(f"{what}: {error.strerror} ({error.filename or 'no file named'})")
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return AbsentError(f"{what}: the hub refuses it (HTTP {status}): log in (`hf auth login`) or ask its owner")
    first = (str(error).strip().splitlines() or ["no reason given"])[0][:300]
    network = isinstance(error, OSError) or type(error).__module__.startswith(("httpx", "httpcore"))
    return (OfflineError if network else CheckpointError)(f"{what}: {type(error).__name__}: {first}")
