"""How a recognizer is optimised: optimiser, parameter groups, schedule, as plain values that a recipe can set."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.nn import Parameter
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau

from videozoo.errors import SettingError
from videozoo.training.frozen_norms import BATCH_NORM_MODES, BatchNormMode
from videozoo.training.parameter_groups import POLICIES
from videozoo.training.schedules import SCHEDULES, ScheduleName, half_cosine, stairs, warm_up

UNITS = ("epochs", "steps")


@dataclass(frozen=True)
class Optimization:
    """Optimiser, parameter groups and schedule; the defaults are those of TSN and TSM (SGD 0.9, 5e-4).

    Rate: ``learning_rate`` is that of ``reference_batch`` clips a step, where one is given: it is multiplied with the
    clips of a step (batch x processes x accumulated batches) over it. ``groups`` is one of the POLICIES of
    videozoo.training.parameter_groups. ``label_smoothing`` counts in training alone.

    Schedule: cosine; step, multiplied with ``step_factor`` at the ``milestones`` and at every multiple of ``every``;
    constant; plateau, multiplied where ``monitor`` has not got better for ``patience`` epochs. ``warmup_epochs`` rise
    linearly from ``warmup_start`` times the rate. ``unit`` says what ``milestones`` and ``every`` count.

    Network, in training: ``batch_norm`` is train, partial (all but the first of each backbone stay as they are) or
    frozen. ``recompute_stages`` leading stages of a backbone keep only their blocks' inputs for the backward pass;
    without it the method's own choice counts. ``compiled`` runs the network through torch.compile.
    """

    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    nesterov: bool = False
    reference_batch: int | None = None
    groups: str = "uniform"
    label_smoothing: float = 0.0
    schedule: ScheduleName = "cosine"
    milestones: tuple[int, ...] = ()
    every: int | None = None
    unit: Literal["epochs", "steps"] = "epochs"
    step_factor: float = 0.1
    warmup_epochs: float = 0.0
    warmup_start: float = 0.0
    monitor: str = "val/top1"
    patience: int = 5
    batch_norm: BatchNormMode = "train"
    recompute_stages: int | None = None
    compiled: bool = False

    def __post_init__(self) -> None:
        closed: dict[str, Iterable[str]] = {
            "optimizer": ("sgd", "adamw"),
            "schedule": SCHEDULES,
            "unit": UNITS,
            "batch_norm": BATCH_NORM_MODES,
            "groups": POLICIES,
        }
        for name, allowed in closed.items():
            if getattr(self, name) not in allowed:
                raise SettingError(f"{name} {getattr(self, name)!r}: must be one of {', '.join(allowed)}")
        if self.schedule == "plateau" and self.warmup_epochs:
            raise SettingError(f"warmup_epochs {self.warmup_epochs}: the plateau schedule has none")
        if self.reference_batch is not None and self.reference_batch < 1:
            raise SettingError(f"reference_batch {self.reference_batch}: must be at least 1")

    def rate_at(self, batch: int) -> float:
        """The learning rate of a step of ``batch`` clips: linear in them where ``reference_batch`` is given."""
        return self.learning_rate * (batch / self.reference_batch if self.reference_batch else 1.0)

    def build_optimizer(
        self, parameters: Iterable[Parameter] | list[dict[str, Any]], learning_rate: float | None = None
    ) -> Optimizer:
        """The optimiser over parameters or parameter groups."""
        rate = self.learning_rate if learning_rate is None else learning_rate
        if self.optimizer == "adamw":
            return AdamW(parameters, lr=rate, weight_decay=self.weight_decay)
        return SGD(parameters, lr=rate, momentum=self.momentum, weight_decay=self.weight_decay, nesterov=self.nesterov)

    def factor(self, epoch: float, epochs: float, step: int = 0) -> float:
        """What the learning rate is multiplied with at a (fractional) epoch of ``epochs``, after so many steps."""
        if epoch < self.warmup_epochs:
            return warm_up(epoch, self.warmup_epochs, self.warmup_start)
        if self.schedule == "cosine":
            return half_cosine(epoch - self.warmup_epochs, epochs - self.warmup_epochs)
        if self.schedule == "step":
            return stairs(step if self.unit == "steps" else epoch, self.milestones, self.every, self.step_factor)
        return 1.0

    def build_schedule(self, optimizer: Optimizer, *, steps_per_epoch: float, epochs: float) -> dict[str, Any]:
        """The schedule as Lightning takes it: one value a training step, or one an epoch by what was measured in it."""
        if self.schedule == "plateau":
            mode: Literal["min", "max"] = "min" if self.monitor.endswith("loss") else "max"
            plateau = ReduceLROnPlateau(optimizer, mode=mode, factor=self.step_factor, patience=self.patience)
            return {"scheduler": plateau, "interval": "epoch", "monitor": self.monitor}
        length = max(steps_per_epoch, 1)
        return {
            "scheduler": LambdaLR(optimizer, lambda step: self.factor(step / length, epochs, step)),
            "interval": "step",
        }


# Checkpoints hold it among the hyperparameters; without this line training could not resume from one, since torch
# unpickles only plain values and what it is told to be harmless.
torch.serialization.add_safe_globals([Optimization])
