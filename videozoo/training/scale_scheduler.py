"""Scale scheduler: the projection's objective first, recognition later (thesis, equation 3.19)."""

import math
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from torch import Tensor
from torch.nn import Parameter

from videozoo.errors import SettingError
from videozoo.training.joint_training import JointTraining


def scheduled_scale(iteration: float, iterations: float, *, gamma: float, knee: float) -> float:
    """The alpha of an iteration counted from 1: 1 at the first, ``knee`` at gamma * iterations, 0 at the last.

    Equation 3.19 with its logarithms mended so that it has these ends and no jump: as printed, the second branch starts
    at m in place of m - gamma M, and its gamma >= 1 contradicts the values used.
    """
    turn = gamma * iterations
    if iteration < turn:
        angle = math.acos(2 * knee - 1) * math.log(iteration) / math.log(turn)
        return 0.5 * (1 + math.cos(angle))
    past = max(iteration - turn, 1.0)
    rest = max(iterations - turn, 1.0)
    angle = math.pi * min(math.log(past) / math.log(rest), 1.0) if rest > 1 else math.pi
    return 0.5 * knee * (1 + math.cos(angle))


class ScaleScheduler(JointTraining):
    """alpha L1 + (1 - alpha) L2 with an alpha that falls from 1 through ``knee`` (lambda in the thesis) to 0."""

    def __init__(self, gamma: float = 0.1, knee: float = 0.1) -> None:
        if not (0 < gamma < 1 and 0 < knee < 1):
            raise SettingError(f"gamma {gamma}, knee {knee}: both must lie between 0 and 1")
        self.gamma = gamma
        self.knee = knee
        self.alpha = 1.0

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Follow the optimiser's steps."""
        steps = float(trainer.estimated_stepping_batches)
        self.alpha = scheduled_scale(trainer.global_step + 1, steps, gamma=self.gamma, knee=self.knee)

    def combine(self, projection_loss: Tensor, recognition_loss: Tensor, parameters: Sequence[Parameter]) -> Tensor:
        """Both losses, scaled."""
        return self.alpha * projection_loss + (1 - self.alpha) * recognition_loss
