"""Videos that could not be read while training or testing: counted, and named once an epoch."""

import warnings
from collections import Counter

SHOWN = 20  # names in one report


class BadVideos:
    """How often each video of each part could not be read since the last report."""

    def __init__(self) -> None:
        self.counts: dict[str, Counter[str]] = {}
        self._epochs: dict[str, int] = {}

    def begin(self, part: str, epoch: int) -> None:
        """Say which epoch of a part is read now; the one before it is reported when it changes."""
        if self._epochs.setdefault(part, epoch) != epoch:
            self._report(part)
            self._epochs[part] = epoch

    def add(self, part: str, video: str) -> None:
        """Count one failure."""
        self.counts.setdefault(part, Counter())[video] += 1

    def report(self) -> None:
        """Name the videos of all parts that were not reported yet, in one warning a part."""
        for part in tuple(self.counts):
            self._report(part)

    def _report(self, part: str) -> None:
        counts = self.counts.pop(part, None)
        if not counts:
            return
        names = ", ".join(sorted(counts)[:SHOWN])
        more = f" and {len(counts) - SHOWN} more" if len(counts) > SHOWN else ""
        epoch = self._epochs.get(part, 0)
        warnings.warn(f"{part}, epoch {epoch}: {len(counts)} videos could not be read: {names}{more}", stacklevel=3)
