"""How a recognizer is optimised: SGD and a schedule, as plain values that a recipe can set."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn import Parameter
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR


@dataclass(frozen=True)
class Optimization:
    """Optimiser and schedule; the defaults are those of TSN and TSM (METHODS of the papers: SGD 0.9, 5e-4).

    ``milestones`` are epochs at which the step schedule divides the rate by 10; ``warmup_epochs`` rise linearly.
    """

    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    nesterov: bool = False
    schedule: Literal["cosine", "step", "constant"] = "cosine"
    milestones: tuple[int, ...] = ()
    warmup_epochs: float = 0.0

    def build_optimizer(self, parameters: Iterable[Parameter] | list[dict[str, object]]) -> Optimizer:
        """The optimiser over parameters or parameter groups."""
        if self.optimizer == "adamw":
            return AdamW(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)
        return SGD(
            parameters,
            lr=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
        )

    def factor(self, epoch: float, epochs: int) -> float:
        """What the learning rate is multiplied with at a (fractional) epoch of ``epochs``."""
        if epoch < self.warmup_epochs:
            return (epoch + 1e-3) / (self.warmup_epochs + 1e-3)
        if self.schedule == "cosine":
            done = (epoch - self.warmup_epochs) / max(epochs - self.warmup_epochs, 1e-9)
            return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
        if self.schedule == "step":
            return 0.1 ** sum(epoch >= milestone for milestone in self.milestones)
        return 1.0

    def build_schedule(self, optimizer: Optimizer, *, steps_per_epoch: int, epochs: int) -> LambdaLR:
        """The schedule, one value a training step."""
        return LambdaLR(optimizer, lambda step: self.factor(step / max(steps_per_epoch, 1), epochs))


# Checkpoints hold it among the hyperparameters; without this line training could not resume from one, since torch
# unpickles only plain values and what it is told to be harmless.
torch.serialization.add_safe_globals([Optimization])
