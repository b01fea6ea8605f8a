"""Where a loader stands within an epoch, and where it goes on after an interruption."""

from collections.abc import Callable


class EpochPlace:
    """The batches of an epoch that were given out, as a loader's state.

    Lightning hands the state back only if nobody asked for the number of steps before, as schedules do, and a batch
    that was given out may not have been learned from when training was interrupted: ``learned``, where it is set, tells
    how many batches of the epoch were, and is right in both cases.
    """

    def __init__(self) -> None:
        self.given = 0
        self.learned: Callable[[], int] | None = None
        self._resume: dict[str, int] = {}

    def begin(self, epoch: int, batches: int) -> int:
        """How many batches of the epoch that begins now are left out; a finished epoch is not begun again."""
        resume, self._resume = self._resume, {}
        begun = resume["batches"] if resume.get("epoch") == epoch else 0
        begun = self.learned() if self.learned else begun
        self.given = begun if begun < batches else 0
        return self.given

    def state(self, epoch: int) -> dict[str, int]:
        """The epoch and its batches that were given out, or learned from."""
        return {"epoch": epoch, "batches": self.learned() if self.learned else self.given}

    def go_on(self, state: dict[str, int]) -> None:
        """Leave out what was given out, if the next epoch that is begun is that one."""
        self._resume = dict(state)
