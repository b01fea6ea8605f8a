"""Training that can stop at any step and go on to the very weights it would have had.

A checkpoint of Lightning holds weights, optimiser, schedule and place; loaders of videozoo.data draw from (seed, epoch,
video). What is left is torch's own generator (dropout, random choices), and a moment to stop at.
"""

import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytorch_lightning as pl
import torch

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class SeededSteps(pl.Callback):
    """Seed torch's generators before every step from the seed, the epoch, the batch and the process.

    A resumed run makes the same draws from there on, whether or not the one before it could write down where its
    generators stood.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed."""
        place = (self.seed * 1_000_003 + trainer.current_epoch) * 1_000_003 + batch_idx
        torch.manual_seed((place * 1_009 + trainer.global_rank) % 2**63)


class TrainingStopped(Exception):  # noqa: N818  # no error: somebody asked for it
    """Training ended between two steps because somebody asked; ``path`` is the checkpoint to go on from."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(f"training stopped; it goes on from {path}")


class StopBetweenSteps(pl.Callback):
    """On Ctrl-C or SIGTERM finish the step, write ``path`` and raise TrainingStopped; a second one ends at once.

    Without a path it is stopped.ckpt in the folder of the run.
    A step cut in two could not be resumed exactly: its forward pass has moved the statistics of batch norms already.
    Batches whose gradients are accumulated are one step, and a validation under way is finished first.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.asked = False
        self._before: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen from now on."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in SIGNALS}

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Stop here if one of the processes was asked to."""
        if batch_idx % trainer.accumulate_grad_batches:
            return
        if trainer.strategy.reduce_boolean_decision(self.asked, all=False):
            path = self.path or Path(trainer.log_dir or trainer.default_root_dir) / "stopped.ckpt"
            trainer.save_checkpoint(path)
            raise TrainingStopped(path)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Listen no more."""
        self._restore()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Listen no more."""
        self._restore()

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        self._restore()

    def _restore(self) -> None:
        while self._before:
            signal.signal(*self._before.popitem())
