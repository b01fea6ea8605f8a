"""Weights spread over processes (FSDP), by Lightning's ModelParallelStrategy and torch's fully_shard."""

from torch import nn
from torch.distributed.device_mesh import DeviceMesh

from videozoo.training.parameter_groups import backbones_of


def shard(network: nn.Module, mesh: DeviceMesh) -> None:
    """Spread the weights of a network: those of a block are gathered when it runs, the rest with the whole.

    The network must be run by its ``forward``, which does the gathering.
    """
    from torch.distributed.fsdp import fully_shard

    for backbone in backbones_of(network):
        for _, block in backbone.blocks():
            fully_shard(block, mesh=mesh)
    fully_shard(network, mesh=mesh)
