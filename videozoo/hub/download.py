"""A file from a plain url: resumed where it stopped, hashed while it streams, in its place only when it is whole.

By urllib of the standard library: one request at a time is all that is needed here, and it knows proxies.
"""

import errno
import os
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from videozoo.errors import CheckpointError
from videozoo.hub.fields import check_url
from videozoo.hub.hub_client import AbsentError, OfflineError, is_offline
from videozoo.hub.partial import CHUNK, Expected, Partial

MAX_BYTES = 8 * 1024**3
TIMEOUT = 30.0  # seconds without a byte
ATTEMPTS = 3  # without a single byte between them
WAIT = 0.5  # seconds, times the failures so far
BROWSER_ONLY = ("drive.google.com", "docs.google.com")


def download(url: str, target: Path, expected: Expected, *, local_files_only: bool = False) -> Path:
    """The file behind ``url`` at ``target``; a second process that asks for it waits for the first.

    A file that is there already is given as it is: whoever reads it verifies it.

    Raises:
        OfflineError: when it is not there and the network is off, out of reach or breaks off.
        AbsentError: when the server says that there is no such file, or not for us.
        CheckpointError: when it is another file than expected, or cannot be written.
    """
    from filelock import FileLock

    if target.is_file():
        return target
    _refuse_hopeless(url, expected, local_files_only=local_files_only)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{target}.lock"):
            if not target.is_file():
                _download_alone(url, target, expected)
    except OSError as error:
        raise CheckpointError(f"{target}: {error.strerror or error}") from error
    return target


def _refuse_hopeless(url: str, expected: Expected, *, local_files_only: bool) -> None:
    try:
        check_url(url, hash_is_known=expected.sha256 is not None)
    except ValueError as error:
        raise CheckpointError(f"{url}: {error}") from error
    if urlsplit(url).hostname in BROWSER_ONLY:
        raise AbsentError(f"{url}: this site gives files to browsers only; download it there, then convert the file")
    if local_files_only or is_offline():
        raise OfflineError(f"{url}: not in the cache, and the network is switched off")


def _download_alone(url: str, target: Path, expected: Expected) -> None:
    """Fetch into the partial file beside the target until it is whole, then rename it."""
    partial = Partial(target)
    failures = 0
    while True:
        before = partial.size
        try:
            _stream(url, partial, expected)
            break
        except _BreakOffError as error:
            failures = 0 if partial.size > before else failures + 1
            if failures == ATTEMPTS:
                raise OfflineError(f"{url}: {error}; what has come is kept, the next attempt goes on there") from error
            time.sleep(WAIT * failures)
    try:
        expected.check(url, partial.digest.hexdigest(), partial.size)
    except CheckpointError:
        partial.remove()
        raise
    partial.finish()


class _BreakOffError(Exception):
    """The connection failed or ended early."""


def _stream(url: str, partial: Partial, expected: Expected) -> None:
    """One request: the rest if the server still has the same version, all of it otherwise.

    Raises:
        _BreakOffError: when the connection fails or ends early.
    """
    headers = {"User-Agent": "videozoo"}
    if partial.size and partial.mark:
        headers |= {"Range": f"bytes={partial.size}-", "If-Range": partial.mark}
    with _open(url, headers, partial) as response:
        _check_answer(url, response, expected)
        resumed = response.status == 206 and _starts_at(response, partial.size)
        if not resumed:
            partial.begin(response.headers.get("ETag") or response.headers.get("Last-Modified") or "")
        length = response.headers.get("Content-Length")
        whole = partial.size + int(length) if length and length.isdigit() else expected.size
        _check_room(url, partial, whole, expected)
        with _progress(partial.target.name, partial.size, whole) as advance:
            partial.append(_chunks(url, response, advance))
    if whole is not None and partial.size < whole:
        raise _BreakOffError(f"the connection ended after {partial.size} of {whole} bytes")


def _starts_at(response: HTTPResponse, start: int) -> bool:
    return str(response.headers.get("Content-Range", "")).startswith(f"bytes {start}-")


def _chunks(url: str, response: HTTPResponse, advance: Callable[[int], Any]) -> Iterator[bytes]:
    total = 0
    while True:
        try:
            chunk = response.read(CHUNK)
        except (OSError, HTTPException) as error:
            raise _BreakOffError(f"the connection broke ({error})") from error
        if not chunk:
            return
        total += len(chunk)
        if total > MAX_BYTES:
            raise CheckpointError(f"{url}: more than {MAX_BYTES} bytes, which no checkpoint has")
        yield chunk
        advance(len(chunk))


@contextmanager
def _open(url: str, headers: dict[str, str], partial: Partial) -> Iterator[HTTPResponse]:
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # our part does not fit the file that is there now
            partial.remove()
            raise _BreakOffError("the part that was kept is of another version") from error
        if error.code in (401, 403):
            raise AbsentError(
                f"{url}: the server refuses it (HTTP {error.code}): it may need a login or consent"
            ) from error
        if error.code in (404, 410):
            raise AbsentError(f"{url}: the file is gone (HTTP {error.code})") from error
        raise _BreakOffError(f"the server answers HTTP {error.code}") from error
    except (OSError, HTTPException) as error:
        raise _BreakOffError(f"the server is out of reach ({getattr(error, 'reason', error)})") from error
    with response:
        yield response


def _check_answer(url: str, response: HTTPResponse, expected: Expected) -> None:
    try:
        check_url(response.url, hash_is_known=expected.sha256 is not None)
    except ValueError as error:
        raise CheckpointError(f"{url}: redirects to {response.url}, which {error}") from error
    if response.headers.get_content_type() == "text/html":
        raise AbsentError(f"{url}: the server sent a web page, not a file; download it in a browser, then convert it")


def _check_room(url: str, partial: Partial, whole: int | None, expected: Expected) -> None:
    if whole is None:
        return
    if expected.size is not None and whole != expected.size:
        partial.remove()
        raise CheckpointError(f"{url}: the server has {whole} bytes, expected {expected.size}")
    if whole > MAX_BYTES:
        raise CheckpointError(f"{url}: {whole} bytes, more than any checkpoint has ({MAX_BYTES})")
    free = shutil.disk_usage(partial.path.parent).free
    if whole - partial.size > free:
        raise OSError(errno.ENOSPC, f"{os.strerror(errno.ENOSPC)}: {whole - partial.size} bytes needed, {free} free")


@contextmanager
def _progress(name: str, done: int, whole: int | None) -> Iterator[Callable[[int], Any]]:
    """A bar on standard error where people look at it."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(name, total=whole, completed=done)
        yield lambda count: progress.advance(task, count)
