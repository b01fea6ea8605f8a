"""An exponential moving average of the weights that is of use in short trainings too."""

import warnings

import pytorch_lightning as pl
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor

from videozoo.errors import SettingError


class AveragedWeights(WeightAveraging):
    """Lightning's averaging, with ``decay`` as the weight of the past; validated and stored is the average.

    A plain exponential average remembers the initial weights for some 1 / (1 - decay) steps, more than a small data set
    has in all. Here the decay after n steps is at most (1 + n) / (10 + n), as in TensorFlow's moving averages.
    """

    def __init__(self, decay: float = 0.999) -> None:
        def average(mean: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
            if not mean.is_floating_point():  # counters of batch norms
                return current
            past = min(decay, float((1 + steps) / (10 + steps)))
            return past * mean + (1 - past) * current

        super().__init__(avg_fn=average)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Copy the network.

        Raises:
            SettingError: where the weights are spread over processes.
        """
        if pl_module.device_mesh is not None:
            raise SettingError("averaged weights need whole ones on every process: use strategy ddp")
        with warnings.catch_warnings():  # of what is refused above
            warnings.filterwarnings("ignore", message=".*overrides the configure_model")
            super().setup(trainer, pl_module, stage)
