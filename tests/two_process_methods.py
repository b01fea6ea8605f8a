"""Run by test_distributed under torchrun: three steps of every method with a strategy of its own, on one rank of two.

Alone, with ``world`` 1, the same steps with the double batch.
"""

import sys
import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.strategies import ModelParallelStrategy
from torch import distributed
from torch.utils.data import Dataset

from videozoo import create_model
from videozoo.data.loader import ResumableLoader
from videozoo.data.sampler import EpochSampler
from videozoo.errors import SettingError
from videozoo.training.optimization import Optimization

CLASSES, VIDEOS, BATCH, STEPS = 4, 12, 2, 3
DAN = {"segments": 2, "frames": 3, "width": 4}
UNUSED = "ddp_find_unused_parameters_true"

# Name: architecture, settings, frames of a clip, strategy.
METHODS = {
    "plain": ("tsm_resnet10_tiny", {}, 4, "ddp"),
    # Of an even number, half and the other half are equally near to the whole, but for rounding.
    "pbnet kl": ("pbnet_tsm_resnet10_tiny", {"snippets": 5, "chosen": 2, "rule": "kl"}, 5, "ddp"),
    "pbnet max": ("pbnet_tsm_resnet10_tiny", {"snippets": 4, "chosen": 2, "rule": "max"}, 4, "ddp"),
    "pbnet flow": ("pbnet_tsm_resnet10_tiny", {"snippets": 4, "chosen": 2, "flow_lengths": (1, 2)}, 8, "ddp"),
    "dan mgda": ("dan_tsm_resnet10_tiny", {**DAN, "joint": "mgda"}, 6, "ddp"),
    "dan scheduler": ("dan_tsm_resnet10_tiny", {**DAN, "joint": "scheduler"}, 6, "ddp"),
    "dan separate": ("dan_tsm_resnet10_tiny", {**DAN, "joint": "separate", "joint_options": {"epochs": 1}}, 6, UNUSED),
    "fullvideo": ("fullvideo_tsm_resnet10_tiny", {"clusters": 2, "frames": 6}, 6, "ddp"),
    "tvnet": ("tvnet_tsm_resnet10_tiny", {"segments": 2, "flows": 1, "iterations": 3}, 4, "ddp"),
    "tesnet": ("tesnet_tsm_resnet10_tiny", {"segments": 1, "frames": 4, "placements": 2, "dropout": 0.0}, 4, "ddp"),
}
STD, RATE = {"dan_tsm_resnet10_tiny": 0.8}, {"dan_tsm_resnet10_tiny": 0.001}  # alpha is neither 0 nor 1
SHARDED = {"sharded": ("tsm_resnet10_tiny", {}, 4), "sharded fullvideo": METHODS["fullvideo"][:3]}


class Alphas(pl.Callback):
    """MGDA's alpha of every step."""

    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx):
        self.seen.append(getattr(getattr(module, "joint", None), "alpha", 0.0))


class Clips(Dataset):
    """Noise that depends on the place alone, in 0..1."""

    def __init__(self, frames, channels):
        self.shape = frames, channels, 32, 32

    def __len__(self):
        return VIDEOS

    def __getitem__(self, place):
        _, index = place
        clip = torch.rand(self.shape, generator=torch.Generator().manual_seed(index))
        label, none = torch.tensor(index % CLASSES), torch.tensor(-1)
        return {"clip": clip, "label": label, "index": torch.tensor(index), "failed": none}


def keep_statistics(representation):
    """Those of a method's own norms, too."""
    for module in representation.modules() if representation else ():
        if isinstance(module, torch.nn.BatchNorm1d):
            module.eval()
            module.train = lambda mode=True, module=module: module


def train(arch, settings, frames, strategy, world):
    """Weights after three steps, how far they moved, and MGDA's alphas.

    Batch norms keep their statistics: those of a batch differ from rank to rank.
    """
    torch.manual_seed(3)
    optimization = Optimization(learning_rate=RATE.get(arch, 0.05), schedule="constant", batch_norm="frozen")
    model = create_model(arch, CLASSES, **{"dropout": 0.0, **settings}, optimization=optimization)
    # A classifier that starts near zero would hardly move what is below it in three steps.
    torch.nn.init.normal_(model.network.get_submodule("backbone").classifier.weight, std=STD.get(arch, 0.3))
    keep_statistics(getattr(model.network, "representation", None))
    alphas = Alphas()
    trainer = pl.Trainer(
        callbacks=[alphas],
        accelerator="cpu", devices=world, strategy=strategy if world > 1 else "auto", max_epochs=1, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, limit_val_batches=0,
    )  # fmt: skip
    start = vector(model)
    rank = distributed.get_rank() if distributed.is_initialized() else trainer.global_rank
    sampler = EpochSampler(Clips(frames, len(model.clip_spec.mean)), shuffle=True, num_replicas=world, rank=rank)
    trainer.fit(model, ResumableLoader(sampler, batch_size=BATCH * 2 // world))
    assert trainer.global_step == STEPS
    result = {"alphas": alphas.seen, "weights": vector(model)}
    return {**result, "moved": (result["weights"] - start).abs().max().item()}


def whole(parameter):
    """A parameter of which this process may hold a part."""
    return parameter.full_tensor() if hasattr(parameter, "full_tensor") else parameter


def vector(model):
    return torch.cat([whole(parameter.detach()).flatten() for parameter in model.parameters()])


def main(folder, world):
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    result = {}
    for name, (arch, settings, frames, strategy) in METHODS.items():
        result[name] = train(arch, settings, frames, strategy, world)
    for name, (arch, settings, frames) in SHARDED.items():
        spread = ModelParallelStrategy(data_parallel_size=world, tensor_parallel_size=1)
        result[name] = train(arch, settings, frames, spread, world)
    if world > 1:
        try:
            train(*METHODS["dan mgda"][:3], ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1), world)
        except SettingError as error:
            result["refused"] = str(error)
    rank = distributed.get_rank() if distributed.is_initialized() else 0
    torch.save(result, folder / f"world{world}_rank{rank}.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
