"""The words of a manifest: what a name, a hash, a path, a url may look like."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints


def check_repo_id(repo_id: str) -> str:
    """The id if a hub could have given it.

    Raises:
        ValueError: for anything else.
    """
    if ".." in repo_id or "--" in repo_id:
        raise ValueError("must not contain '..' or '--'")
    return repo_id


def check_relative_path(path: str) -> str:
    """The path if it stays below its folder.

    Every part starts with a letter or digit, which leaves no ``..``, absolute path, hidden file or drive.

    Raises:
        ValueError: for anything else.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*", path):
        raise ValueError("must be a relative path that stays in its folder, of letters, digits, '.', '_', '-' and '/'")
    return path


def check_weight_path(path: str) -> str:
    """A relative path to a safetensors file.

    Raises:
        ValueError: for anything else.
    """
    if not path.endswith(".safetensors"):
        raise ValueError("must end in .safetensors, the only format of weights that is read")
    return check_relative_path(path)


def check_url(url: str, *, hash_is_known: bool = False) -> str:
    """The url if it may be fetched: https, or http on this very machine or where the file's sha256 is known.

    Raises:
        ValueError: for anything else, spaces and user names in it included.
    """
    split = urlsplit(url)
    plain = split.scheme == "http" and (hash_is_known or split.hostname in ("127.0.0.1", "localhost", "::1"))
    if not (plain or split.scheme == "https") or not split.hostname or "@" in split.netloc or re.search(r"\s", url):
        raise ValueError("must be an https:// url (http:// only with a known sha256)")
    return url


def check_web_url(url: str) -> str:
    """The url if it may be fetched, should the sha256 be known.

    Raises:
        ValueError: for anything else.
    """
    return check_url(url, hash_is_known=True)


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,96}\.[a-z0-9_]{1,96}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,96}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=2000)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Commit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
ShortCommit = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{7,40}$")]
Count = Annotated[int, Field(ge=1, le=10**13)]
Classes = Annotated[int, Field(ge=1, le=10**6)]
Size = Annotated[int, Field(ge=1, le=8 * 1024**3)]
Percent = Annotated[float, Field(ge=0, le=100)]
RelativePath = Annotated[str, StringConstraints(max_length=200), AfterValidator(check_relative_path)]
WeightPath = Annotated[str, StringConstraints(max_length=200), AfterValidator(check_weight_path)]
RepoId = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$"),
    AfterValidator(check_repo_id),
]
Url = Annotated[str, StringConstraints(max_length=1000), AfterValidator(check_url)]
WebUrl = Annotated[str, StringConstraints(max_length=1000), AfterValidator(check_web_url)]
Scalar = bool | int | float | str | None
