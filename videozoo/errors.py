"""The errors a user can cause, one small family: the command line prints them as one line."""

from collections.abc import Iterable
from difflib import get_close_matches


class VideozooError(Exception):
    """Base of every error that a wrong input can cause; its text is one line that says what is allowed."""


class UnknownNameError(VideozooError, KeyError):
    """A name that no registry, manifest or list holds."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        known = sorted(known)
        near = get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known[:12]) or 'none'}"
        self.near = near
        self.message = f"unknown {kind} {name!r}: {hint}"
        super().__init__(self.message)

    def __str__(self) -> str:  # KeyError would quote the text once more
        return self.message


class SettingError(VideozooError, ValueError):
    """A setting outside what is allowed; the text names the value and the allowed ones."""


class VideoError(VideozooError):
    """A file that is not a readable video; the text names the file."""


class AnnotationError(VideozooError):
    """A wrong label, split or annotation file; the text names the file and the line."""


class ManifestError(VideozooError):
    """A manifest that breaks its schema; the text names the file, the row and the field."""


class CheckpointError(VideozooError):
    """Weights that are missing, damaged, tampered with or do not fit; the text names the file."""
