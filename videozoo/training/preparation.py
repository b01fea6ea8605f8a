"""What happens to a network before it is trained: norms frozen, features recomputed, code compiled."""

import pytorch_lightning as pl
from torch import nn

from videozoo.errors import SettingError
from videozoo.training.frozen_norms import frozen_norms
from videozoo.training.optimization import Optimization
from videozoo.training.parameter_groups import backbones_of


def prepare_network(network: nn.Module, optimization: Optimization) -> None:
    """Freeze, recompute and compile in place, as an Optimization says; names and values of the weights stay."""
    for norm in frozen_norms(network, optimization.batch_norm):
        norm.eval().requires_grad_(False)
    if optimization.recompute_stages is not None:
        for backbone in backbones_of(network):
            backbone.recomputed = optimization.recompute_stages
    if optimization.compiled:
        for module in (network, *backbones_of(network)):  # some methods run their backbone apart from the rest
            module.compile()


def clips_of_step(trainer: pl.Trainer) -> int:
    """Clips that one step of the optimiser learns from: batch x processes x accumulated batches.

    Raises:
        SettingError: when the data does not say how large its batches are.
    """
    batch = getattr(getattr(trainer, "datamodule", None), "batch_size", None)
    if batch is None:
        raise SettingError("reference_batch needs data with a batch_size to scale the learning rate by")
    return int(batch) * trainer.world_size * trainer.accumulate_grad_batches
