"""A file on its way: what has come of it, and what is known of it beforehand."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from videozoo.errors import CheckpointError

CHUNK = 1 << 20


@dataclass(frozen=True)
class Expected:
    """What is known of a file beforehand; ``prefix`` are the first digits of its sha256."""

    sha256: str | None = None
    size: int | None = None
    prefix: str | None = None

    def check(self, what: str, sha256: str, size: int) -> None:
        """Compare with what came.

        Raises:
            CheckpointError: with both hashes, when it is another file.
        """
        wrong = (
            (self.sha256 is not None and sha256 != self.sha256)
            or (self.prefix is not None and not sha256.startswith(self.prefix))
            or (self.size is not None and size != self.size)
        )
        if wrong:
            expected = self.sha256 or (f"{self.prefix}..." if self.prefix else "any")
            raise CheckpointError(
                f"{what}: not the expected file: sha256 {sha256} and {size} bytes, "
                f"expected sha256 {expected} and {self.size or 'any number of'} bytes"
            )


class Partial:
    """The part of a file that has come so far, its sha256, and the server's mark of the version that it belongs to."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f"{target.name}.part")
        self.mark_path = target.with_name(f"{target.name}.part.etag")
        self.digest = hashlib.sha256()
        self.size = 0  # bytes
        if self.path.is_file():
            with self.path.open("rb") as stream:
                while chunk := stream.read(CHUNK):
                    self._count(chunk)

    @property
    def mark(self) -> str:
        """ETag or date of the version that has been begun; empty when unknown, and then nothing is resumed."""
        return self.mark_path.read_text(encoding="utf-8") if self.mark_path.is_file() else ""

    def begin(self, mark: str) -> None:
        """Forget what has come and note the new version."""
        self.remove()
        self.path.write_bytes(b"")
        self.mark_path.write_text(mark, encoding="utf-8")

    def append(self, chunks: Iterable[bytes]) -> None:
        """Write and hash what comes; what was written stays, even when the chunks break off."""
        with self.path.open("ab") as stream:
            for chunk in chunks:
                stream.write(chunk)
                self._count(chunk)

    def remove(self) -> None:
        """Forget everything."""
        self.path.unlink(missing_ok=True)
        self.mark_path.unlink(missing_ok=True)
        self.digest, self.size = hashlib.sha256(), 0

    def finish(self) -> None:
        """The part is the whole: put it in its place at once."""
        os.replace(self.path, self.target)
        self.mark_path.unlink(missing_ok=True)

    def _count(self, chunk: bytes) -> None:
        self.digest.update(chunk)
        self.size += len(chunk)
