"""What an epoch gave and how long the rest will take."""

import sys
import time
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
from torch import Tensor

REFRESH = 0.5  # seconds between two states of the line on a terminal


def epoch_line(row: dict[str, float], epochs: int, best: float, seconds_left: float) -> str:
    """One epoch in one line."""
    return (
        f"epoch {row['epoch']:.0f} of {epochs}: loss {row['train loss']:.3f}, validation loss {row['val loss']:.3f}, "
        f"top-1 {100 * row['top-1']:.1f}, mean class {100 * row['mean class']:.1f} (best {100 * best:.1f}), "
        f"{clock(seconds_left)} left"
    )


def clock(seconds: float) -> str:
    """Hours, minutes, seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Curves(pl.Callback):
    """One row an epoch, kept in checkpoints: mean training loss, validation loss, top-1 and mean class accuracy.

    Says each of them with the time left, and on a terminal also where the epoch stands.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self.rows: list[dict[str, float]] = []
        self.report = report
        self._losses: list[float] = []
        self._started = self._shown = 0.0
        self._done_before = 0.0

    def state_dict(self) -> dict[str, Any]:
        """All rows, and the losses of the epoch under way."""
        return {"rows": self.rows, "losses": self._losses}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there."""
        self.rows, self._losses = list(state_dict["rows"]), list(state_dict["losses"])

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The clock runs from here, wherever the training stands."""
        self._started, self._done_before = time.monotonic(), self._done(trainer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the loss, show the place."""
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        if isinstance(loss, Tensor):
            self._losses.append(loss.item())
        if sys.stderr.isatty() and time.monotonic() > self._shown + REFRESH:
            self._shown = time.monotonic()
            place = f"epoch {trainer.current_epoch + 1}, step {batch_idx + 1} of {trainer.num_training_batches}"
            print(f"\r\033[K{place}, {clock(self._left(trainer))} left", end="", file=sys.stderr, flush=True)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make the row."""
        seen = trainer.callback_metrics
        row = {
            "epoch": trainer.current_epoch + 1.0,
            "train loss": sum(self._losses) / max(len(self._losses), 1),
            "val loss": seen["val/loss"].item(),
            "top-1": seen["val/top1"].item(),
            "mean class": seen["val/mean_class"].item(),
            "learning rate": trainer.optimizers[0].param_groups[0]["lr"],
        }
        self.rows.append(row)
        self._losses = []
        best = max(row["mean class"] for row in self.rows)
        start = "\r\033[K" if sys.stderr.isatty() else ""
        self.report(start + epoch_line(row, trainer.max_epochs or 0, best, self._left(trainer)))

    def _done(self, trainer: pl.Trainer) -> float:
        """Epochs done, a fraction for the one under way."""
        epochs, batches = len(self.rows), len(self._losses)
        return epochs + batches / max(trainer.num_training_batches, 1)

    def _left(self, trainer: pl.Trainer) -> float:
        """Seconds until all epochs are done, should they take as long as those so far."""
        done = self._done(trainer)
        speed = (done - self._done_before) / max(time.monotonic() - self._started, 1e-9)
        return ((trainer.max_epochs or 0) - done) / max(speed, 1e-9)
