"""One fine-tuning: the network, the loop, and what goes on after an interruption."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback, EarlyStopping, ModelCheckpoint

from videozoo.clip_spec import Views
from videozoo.data.datamodules.base import VideoDataModule
from videozoo.errors import SettingError
from videozoo.finetuning.curves import Curves
from videozoo.finetuning.settings import FineTuning
from videozoo.hub.load import load_model
from videozoo.methods.create import create_model, list_architectures
from videozoo.training.averaged_weights import AveragedWeights
from videozoo.training.exact_resume import SeededSteps, StopBetweenSteps, TrainingStopped
from videozoo.training.memory_format import lay_channels_last
from videozoo.training.parameter_groups import module_roles
from videozoo.training.recognizer import ActionRecognizer

Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
LAST, BEST = "last.ckpt", "best.ckpt"
MONITOR = "val/mean_class"


@dataclass(frozen=True)
class Device:
    """Where it is trained, and with which numbers."""

    accelerator: Literal["cpu", "cuda", "mps"]
    precision: Precision

    @classmethod
    def choose(cls, name: str = "auto", precision: str = "auto") -> "Device":
        """The fastest there is; bfloat16 on GPUs that compute with it, float16 on older ones, float32 elsewhere.

        Raises:
            SettingError: when it is not there.
        """
        cuda = torch.cuda.is_available()
        if name == "auto":
            name = "cuda" if cuda else "cpu"
        if name not in ("cpu", "cuda", "mps") or (name == "cuda" and not cuda):
            raise SettingError(f"--device {name!r}: must be auto, cpu, or cuda or mps where there is one")
        best = "32-true"
        if name == "cuda":
            best = "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
        chosen = best if precision == "auto" else precision
        if chosen not in ("32-true", "bf16-mixed", "16-mixed"):
            raise SettingError(f"--precision {chosen!r}: must be auto, 32-true, bf16-mixed or 16-mixed")
        return cls(name, chosen)  # type: ignore[arg-type]


def new_model(settings: FineTuning, num_classes: int) -> ActionRecognizer:
    """The checkpoint with a fresh classifier, or its architecture with random weights, and the clip it is to see.

    Raises:
        VideozooError: when there is no such checkpoint, or the clip cannot be as asked for.
    """
    torch.manual_seed(settings.seed)
    if settings.from_scratch and settings.model in list_architectures():
        model = create_model(settings.model, num_classes)
    else:
        model = load_model(settings.model, num_classes=num_classes, fresh_classifier=True)
    if settings.from_scratch and model.checkpoint is not None:
        row, spec = model.checkpoint, model.clip_spec
        hyperparameters = {name: value for name, value in row.hyperparameters.items() if name != "num_classes"}
        model = create_model(row.arch, num_classes, **hyperparameters)
        model.clip_spec = spec
    model.optimization = settings.optimization
    try:
        model.clip_spec = replace(model.clip_spec, **settings.clip)
    except TypeError as error:
        raise SettingError(f"--clip: {error}") from error
    model.clip_spec = replace(model.clip_spec, views=Views(average=model.clip_spec.views.average))
    if settings.preset == "head":
        freeze_all_but_classifier(model)
    return model


def freeze_all_but_classifier(model: ActionRecognizer) -> None:
    """Let the layers that hold the classes learn alone."""
    model.network.requires_grad_(False)
    roles = module_roles(model.network)
    for module in model.network.modules():
        if roles.get(id(module)) == "head":
            module.requires_grad_(True)


@dataclass(frozen=True)
class Trained:
    """The curves of a training, and whether it was stopped before its end."""

    rows: list[dict[str, float]]
    stopped: bool


def train(
    model: ActionRecognizer,
    data: VideoDataModule,
    settings: FineTuning,
    folder: Path,
    device: Device,
    *,
    resume: bool,
    report: Callable[[str], None],
) -> Trained:
    """Fit, keeping the best epoch and the last step in ``folder``."""
    curves = Curves(report)
    callbacks: list[Callback] = [
        SeededSteps(settings.seed),
        curves,
        EarlyStopping(MONITOR, mode="max", patience=settings.patience, check_on_train_epoch_end=True),
        ModelCheckpoint(
            folder,
            filename=Path(BEST).stem,
            monitor=MONITOR,
            mode="max",
            save_last=True,
            save_on_train_epoch_end=True,
            enable_version_counter=False,
        ),
        StopBetweenSteps(folder / LAST),
    ]
    if settings.ema is not None:
        callbacks.insert(1, AveragedWeights(settings.ema))
    if device.accelerator == "cpu":
        lay_channels_last(model.network)
    trainer = pl.Trainer(
        max_epochs=settings.epochs,
        accelerator=device.accelerator,
        devices=1,
        precision=device.precision,
        callbacks=callbacks,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    try:
        trainer.fit(model, data, ckpt_path=str(folder / LAST) if resume else None, weights_only=True)
    except TrainingStopped:
        return Trained(curves.rows, stopped=True)
    except SystemExit as exit_:  # Lightning's answer to a second Ctrl-C, within a step
        raise KeyboardInterrupt from exit_
    return Trained(curves.rows, stopped=False)
