"""Run as a script by tests of data: fit and test in two processes, each notes which videos it saw."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch

from videozoo import create_model
from videozoo.clip_spec import ClipSpec
from videozoo.data.datamodules import Shards, VideoFolder
from videozoo.training.optimization import Optimization

SPEC = ClipSpec(frames=4, size=32, resize=36)


class Seen(pl.Callback):
    """The videos of every batch, part by part."""

    def __init__(self):
        self.videos = {"train": [], "val": [], "test": []}

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        self.videos["train"].append(batch["index"].tolist())

    def on_validation_batch_start(self, trainer, module, batch, batch_idx, dataloader_idx=0):
        self.videos["val"].append(batch["index"].tolist())

    def on_test_batch_start(self, trainer, module, batch, batch_idx, dataloader_idx=0):
        self.videos["test"].append(batch["index"].tolist())


class Stop(pl.Callback):
    """Kill the run when a batch of the second epoch begins."""

    def __init__(self, error, batch):
        self.error, self.batch = error, batch

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if trainer.current_epoch == 1 and batch_idx == self.batch:
            raise self.error


def new_model():
    pl.seed_everything(0, verbose=False)
    model = create_model("tsm_resnet10_tiny", 2, dropout=0.0, optimization=Optimization("adamw", learning_rate=1e-3))
    model.clip_spec = SPEC
    return model


def new_data(root):
    kind = Shards if (root / "train" / "index.json").is_file() else VideoFolder
    return kind(root, clip_spec=SPEC, batch_size=2, seed=1)


def new_trainer(**options):
    defaults = {"logger": False, "enable_checkpointing": False, "num_sanity_val_steps": 0, "accelerator": "cpu"}
    return pl.Trainer(**{**defaults, "enable_progress_bar": False, "enable_model_summary": False, **options})


def run_two_processes(root, out):
    """What each of the two processes noted."""
    command = [sys.executable, __file__, str(root), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return [json.loads((out / f"rank{rank}.json").read_text()) for rank in (0, 1)]


def main(root, out):
    torch.set_num_threads(1)
    seen = Seen()
    trainer = new_trainer(max_epochs=1, strategy="ddp", devices=2, callbacks=[seen])
    model, data = new_model(), new_data(root)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(model, data)
        (metrics,) = trainer.test(model, data, verbose=False)
    reports = [str(warning.message) for warning in caught if "could not be read" in str(warning.message)]
    result = {"seen": seen.videos, "metrics": metrics, "reports": reports}
    (out / f"rank{trainer.global_rank}.json").write_text(json.dumps(result))
    if trainer.global_rank == 0:
        torch.save(model.state_dict(), out / "weights.pt")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
