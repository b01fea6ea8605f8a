"""Multiple-gradient descent: a step that makes neither objective worse (thesis, equations 3.16 to 3.18, algorithm 1).

The method is Désidéri's, Comptes Rendus Mathématique 2012, as Sener and Koltun use it (NeurIPS 2018).
"""

from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.utils import vector_to_parameters
from torch.optim import Optimizer

from videozoo.training.joint_training import JointTraining


def shortest_mixture(first: Tensor, second: Tensor) -> Tensor:
    """The alpha in [0, 1] for which alpha * first + (1 - alpha) * second is shortest (equation 3.18).

    Shape: (N,), (N,) -> scalar. Equal gradients mix to themselves; alpha is then 1/2.
    """
    apart = first - second
    length = apart.square().sum()
    alpha = -(apart * second).sum() / length
    return torch.where(length > 0, alpha.clamp(0, 1), torch.full_like(alpha, 0.5))


class MultipleGradientDescent(JointTraining):
    """The projection steps along the shortest mixture of both gradients, all other parameters along recognition's.

    L1's gradient is taken through the projection alone, some thousand numbers; L2's comes from the one backward pass
    there is anyway. Just before the optimiser's step, where gradients are accumulated, unscaled and averaged over
    processes already, the projection's are replaced by the mixture; L1's are accumulated and averaged here likewise.
    """

    def __init__(self) -> None:
        self.alpha = float("nan")
        self._batches = 1
        self._parameters: list[Parameter] = []
        self._projection: Tensor | None = None

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Read over how many batches the trainer accumulates: it divides every loss by that number."""
        self._batches = trainer.accumulate_grad_batches

    def combine(self, projection_loss: Tensor, recognition_loss: Tensor, parameters: Sequence[Parameter]) -> Tensor:
        """Note L1's gradient, leave L2 to the trainer."""
        self._parameters = [parameter for parameter in parameters if parameter.requires_grad]
        gradients = torch.autograd.grad(projection_loss / self._batches, self._parameters, retain_graph=True)
        projection = _flat(gradients)
        self._projection = projection if self._projection is None else self._projection + projection
        return recognition_loss

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Put the mixture in the place of the projection's gradients."""
        if self._projection is None:
            return
        self.mix(trainer.strategy.reduce(self._projection, reduce_op="mean"))
        pl_module.log("train/alpha", self.alpha)
        self._projection = None

    def mix(self, projection: Tensor) -> None:
        """Replace the gradients of the projection's parameters, which hold L2's, by the mixture with ``projection``."""
        gradients = [
            torch.zeros_like(parameter) if parameter.grad is None else parameter.grad for parameter in self._parameters
        ]
        recognition = _flat(gradients)
        alpha = shortest_mixture(projection, recognition)
        self.alpha = alpha.item()
        vector_to_parameters(alpha * projection + (1 - alpha) * recognition, gradients)
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient


def _flat(gradients: Sequence[Tensor]) -> Tensor:
    """All values side by side, in the order that vector_to_parameters expects whatever their order in memory."""
    return torch.cat([gradient.flatten() for gradient in gradients])
