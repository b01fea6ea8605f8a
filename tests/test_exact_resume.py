"""Training stopped anywhere goes on to the same weights, bit by bit."""

import os
import shutil
import signal

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import Dataset

from videozoo import create_model
from videozoo.cli import main
from videozoo.data.loader import ResumableLoader
from videozoo.data.sampler import EpochSampler
from videozoo.training.averaged_weights import AveragedWeights
from videozoo.training.exact_resume import SeededSteps, StopBetweenSteps, TrainingStopped
from videozoo.training.optimization import Optimization
from videozoo.training.recognizer import ActionRecognizer

CLASSES = 3
TINY = {"optimization": Optimization(learning_rate=0.02)}
MODELS = {
    "plain": ("tsm_resnet10_tiny", {"dropout": 0.5}, 4),
    "pbnet": ("pbnet_tsm_resnet10_tiny", {"snippets": 4, "chosen": 2, "rule": "random", "dropout": 0.5}, 4),
    "dan": ("dan_tsm_resnet10_tiny", {"segments": 2, "frames": 3, "joint": "mgda", "width": 4, "dropout": 0.5}, 6),
    "dan scheduler": ("dan_tsm_resnet10_tiny", {"segments": 2, "frames": 3, "joint": "scheduler", "width": 4}, 6),
    "dan separate": (
        "dan_tsm_resnet10_tiny",
        {"segments": 2, "frames": 3, "joint": "separate", "joint_options": {"epochs": 1}, "width": 4},
        6,
    ),
    "fullvideo": ("fullvideo_tsm_resnet10_tiny", {"clusters": 2, "frames": 6, "dropout": 0.5}, 6),
}


class Clips(Dataset):
    """Clips drawn from (epoch, index), as those of real videos are."""

    def __init__(self, frames):
        self.frames = frames

    def __len__(self):
        return 8

    def __getitem__(self, place):
        epoch, index = place
        generator = torch.Generator().manual_seed(1000 * epoch + index)
        clip = torch.randn(self.frames, 3, 32, 32, generator=generator)
        return {
            "clip": clip,
            "label": torch.tensor(index % CLASSES),
            "index": torch.tensor(index),
            "failed": torch.tensor(-1),
        }


class Data(pl.LightningDataModule):
    def __init__(self, frames):
        super().__init__()
        self.clips = Clips(frames)

    def train_dataloader(self):
        loader = ResumableLoader(EpochSampler(self.clips, shuffle=True), batch_size=2)
        loader.place.learned = lambda: self.trainer.fit_loop.epoch_loop.batch_progress.current.processed
        return loader

    def val_dataloader(self):
        return ResumableLoader(EpochSampler(self.clips, shuffle=False), batch_size=4)


class Signal(pl.Callback):
    """Somebody presses Ctrl-C while a step is under way."""

    def __init__(self, epoch, batch, number=signal.SIGINT):
        self.epoch, self.batch, self.number = epoch, batch, number

    def on_before_backward(self, trainer, module, loss):
        if (trainer.current_epoch, trainer.fit_loop.epoch_loop.batch_idx) == (self.epoch, self.batch):
            os.kill(os.getpid(), self.number)


class SignalInValidation(Signal):
    def on_validation_batch_start(self, trainer, module, batch, batch_idx, dataloader_idx=0):
        if trainer.current_epoch == self.epoch:
            os.kill(os.getpid(), self.number)


def new_model(name):
    arch, settings, _ = MODELS[name]
    torch.manual_seed(1)
    return create_model(arch, CLASSES, **settings, **TINY)


def train(name, folder, *extra, ema=False, resume=None, **options):
    """The model after training, or None where it was stopped; another seed of torch each time."""
    model = new_model(name)
    torch.seed()
    stop = StopBetweenSteps(folder / "stopped.ckpt")
    trainer = pl.Trainer(
        **{"max_epochs": 3, **options},
        callbacks=[SeededSteps(7), stop, *([AveragedWeights(0.9)] if ema else []), *extra],
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
        enable_checkpointing=any(isinstance(callback, pl.callbacks.Checkpoint) for callback in extra),
    )  # fmt: skip
    before = signal.getsignal(signal.SIGINT)
    try:
        trainer.fit(model, Data(MODELS[name][2]), ckpt_path=resume)
    except TrainingStopped:
        model = None
    assert signal.getsignal(signal.SIGINT) is before
    return model


def check_same(model, other):
    for key, value in model.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key


CASES = [
    ("plain", False, Signal(1, 1)),
    ("plain", True, SignalInValidation(1, 0)),
    ("pbnet", False, Signal(1, 2)),
    ("dan", True, Signal(1, 0)),
    pytest.param("plain", True, Signal(0, 0, signal.SIGTERM), marks=pytest.mark.slow),
    pytest.param("plain", False, Signal(1, 3), marks=pytest.mark.slow),
    pytest.param("pbnet", True, Signal(1, 0), marks=pytest.mark.slow),
    pytest.param("dan", False, Signal(2, 2), marks=pytest.mark.slow),
    pytest.param("dan scheduler", False, Signal(1, 2), marks=pytest.mark.slow),
    ("dan separate", False, Signal(1, 1)),
    pytest.param("fullvideo", True, Signal(1, 1), marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "ema", "killer"), CASES)
def test_stopped_by_a_signal(tmp_path, name, ema, killer):
    whole = train(name, tmp_path, ema=ema)
    assert train(name, tmp_path, killer, ema=ema) is None
    check_same(whole, train(name, tmp_path, ema=ema, resume=tmp_path / "stopped.ckpt"))


def test_batches_of_one_step_are_not_parted(tmp_path):
    whole = train("dan", tmp_path, accumulate_grad_batches=2)
    assert train("dan", tmp_path, Signal(1, 0), accumulate_grad_batches=2) is None
    progress = torch.load(tmp_path / "stopped.ckpt", weights_only=True)["loops"]["fit_loop"]
    assert progress["epoch_loop.batch_progress"]["current"]["completed"] == 2
    check_same(whole, train("dan", tmp_path, accumulate_grad_batches=2, resume=tmp_path / "stopped.ckpt"))


@pytest.mark.parametrize("every", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_ended_by_a_number_of_steps(tmp_path, every):
    constant = {"optimization": Optimization(learning_rate=0.02, schedule="constant")}
    TINY.update(constant)
    try:
        whole = train("plain", tmp_path, ema=True)
        kept = pl.callbacks.ModelCheckpoint(
            tmp_path, "last", every_n_train_steps=every, enable_version_counter=False, monitor=None
        )
        train("plain", tmp_path, kept, ema=True, max_steps=6)
        check_same(whole, train("plain", tmp_path, ema=True, resume=tmp_path / "last.ckpt"))
    finally:
        TINY["optimization"] = Optimization(learning_rate=0.02)


def test_average_starts_from_few_steps(tmp_path):
    plain, averaged = (train("plain", tmp_path, ema=ema, max_epochs=1) for ema in (False, True))
    name = "network.backbone.head.classifier.weight"
    start, end, mean = (model.get_parameter(name) for model in (new_model("plain"), plain, averaged))
    assert not torch.equal(mean, end)
    assert (mean - end).norm() < (start - end).norm()


RECIPE = """
title: three epochs
model: {arch: tsm_resnet10_tiny, num_classes: 2, dropout: 0.5, optimization: {learning_rate: 0.01}}
clip: {frames: 4, size: 32, resize: 36}
data: {name: video_folder, batch_size: 2}
trainer: {max_epochs: 3, accelerator: cpu}
seed_everything: 5
"""


@pytest.mark.slow
def test_a_recipe_goes_on_exactly(videos, tmp_path, capsys, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(4):
            shutil.copy(videos[i % 3], tmp_path / "data" / name / f"{i}.mp4")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    words = ["fit", "--config", str(tmp_path / "recipe.yaml"), "--data.root", str(tmp_path / "data")]

    def fit(folder, *more):
        return main([*words, "--trainer.default_root_dir", str(tmp_path / folder), *more])

    assert fit("whole") == 0
    plain = ActionRecognizer.training_step

    def press(self, batch, batch_idx):
        if (self.current_epoch, batch_idx) == (1, 1):
            os.kill(os.getpid(), signal.SIGINT)
        return plain(self, batch, batch_idx)

    monkeypatch.setattr(ActionRecognizer, "training_step", press)
    assert fit("parts") == 130
    (stopped,) = tmp_path.glob("parts/**/stopped.ckpt")
    assert f"go on with --ckpt-path {stopped}" in capsys.readouterr().err
    monkeypatch.setattr(ActionRecognizer, "training_step", plain)
    assert fit("rest", "--ckpt-path", str(stopped)) == 0
    states = [
        torch.load(next(tmp_path.glob(f"{folder}/**/epoch=2*.ckpt")), weights_only=True)["state_dict"]
        for folder in ("whole", "rest")
    ]
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key
