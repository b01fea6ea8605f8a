"""Learning flow from ground truth by its end-point error (TVNet, section 5.1)."""

import time
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.optim import SGD, Adam

from videozoo.errors import SettingError
from videozoo.representations.flow_losses import end_point_error
from videozoo.representations.tvnet import TVNet

OPTIMIZERS = {"adam": Adam, "sgd": SGD}


def train_on_pairs(
    net: TVNet,
    pairs: Sequence[tuple[Tensor, Tensor, Tensor]],
    *,
    steps: int,
    seconds: float,
    learning_rate: float = 0.05,
    optimizer: str = "adam",
) -> list[float]:
    """Batch descent: every step sees all pairs (two frames (1, C, H, W), flow (1, 2, H, W)), which may differ in size.

    Ends after ``steps`` or ``seconds``, whichever comes first, and leaves the best parameters it met. The answer is the
    mean error in pixels before each step. The paper's plain descent with a rate of 0.05 moves the initial flow by
    less than a hundredth of a pixel in 3000 steps, since each of its values has a part of 1 / pixels in the mean
    error; Adam with that rate is the default.

    Raises:
        SettingError: when nothing of the net trains, or for an unknown optimiser.
    """
    parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
    if not parameters:
        raise SettingError("nothing to train: the flow layers were built with trainable='nothing'")
    if optimizer not in OPTIMIZERS:
        raise SettingError(f"optimizer {optimizer!r}: must be one of {', '.join(OPTIMIZERS)}")
    descent = OPTIMIZERS[optimizer](parameters, lr=learning_rate)
    prepared = [(*net.preparation(first, second), target) for first, second, target in pairs]
    errors: list[float] = []
    best: list[Tensor] = []
    deadline = time.monotonic() + seconds
    while len(errors) < steps and (not errors or time.monotonic() < deadline):
        descent.zero_grad()
        total = 0.0
        for first, second, target in prepared:
            error = end_point_error(net.solve(first, second), target).mean()
            (error / len(prepared)).backward()
            total += error.item() / len(prepared)
        if total < min(errors, default=float("inf")):
            best = [parameter.detach().clone() for parameter in parameters]
        errors.append(total)
        descent.step()
    with torch.no_grad():
        for parameter, value in zip(parameters, best, strict=True):
            parameter.copy_(value)
    return errors
