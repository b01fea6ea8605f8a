"""Joint training of a representation that has an objective of its own with the recognition behind it.

Thesis, section 3.5.4: L1 is the projection's objective over its own parameters, L2 recognition over all parameters.
"""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from torch import Tensor
from torch.nn import Parameter

from videozoo.errors import SettingError


class JointTraining(pl.Callback):
    """A strategy: how the two losses of a batch become the one that is differentiated.

    A method calls ``combine`` in its training step and returns the strategy from ``configure_callbacks``, so that the
    strategy also sees the trainer. Optimisation stays automatic throughout.
    """

    def combine(self, projection_loss: Tensor, recognition_loss: Tensor, parameters: Sequence[Parameter]) -> Tensor:
        """The loss to differentiate; ``parameters`` are those of the projection, which both losses depend on."""
        raise NotImplementedError


class ConstantScale(JointTraining):
    """alpha L1 + (1 - alpha) L2 (equation 3.15)."""

    def __init__(self, alpha: float = 0.5) -> None:
        if not 0 <= alpha <= 1:
            raise SettingError(f"alpha {alpha}: must be from 0 to 1")
        self.alpha = alpha

    def combine(self, projection_loss: Tensor, recognition_loss: Tensor, parameters: Sequence[Parameter]) -> Tensor:
        """Both losses, scaled."""
        return self.alpha * projection_loss + (1 - self.alpha) * recognition_loss


class SeparateTraining(JointTraining):
    """L1 alone for the first ``epochs``, then recognition alone on the frozen projection.

    The thesis does not say that it is frozen; its table 3.9 reports a projection as good as one trained alone. Under
    distributed training the first phase leaves parameters without gradient, which the strategy has to be told.
    """

    def __init__(self, epochs: int = 10) -> None:
        if epochs < 1:
            raise SettingError(f"epochs {epochs}: must be at least 1")
        self.epochs = epochs
        self.projecting = True

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Freeze the projection, its norms' statistics included, once its epochs are over.

        Asked at every batch: a run that goes on within an epoch is not told that the epoch starts.
        """
        self.projecting = trainer.current_epoch < self.epochs
        if not self.projecting:
            representation = pl_module.get_submodule("network.representation")
            representation.requires_grad_(False).eval()

    def combine(self, projection_loss: Tensor, recognition_loss: Tensor, parameters: Sequence[Parameter]) -> Tensor:
        """One of the losses."""
        return projection_loss if self.projecting else recognition_loss
