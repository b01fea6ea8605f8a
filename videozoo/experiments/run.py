"""Run an experiment: train and test every variant with every seed, keeping each finished run."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from videozoo.clip_spec import ClipSpec, Views
from videozoo.data.datamodules.arid import ARID
from videozoo.data.datamodules.moving_digits import MovingDigits
from videozoo.data.digit_set import DigitSet
from videozoo.errors import SettingError
from videozoo.evaluation.benchmark import machine_name
from videozoo.evaluation.cost import count_cost
from videozoo.experiments.experiment import AridData, DigitData, Experiment, Variant
from videozoo.methods.create import create_model
from videozoo.training.memory_format import lay_channels_last
from videozoo.training.optimization import Optimization
from videozoo.training.recognizer import ActionRecognizer


def run_experiment(
    experiment: Experiment,
    folder: Path,
    *,
    roots: dict[str, str],
    only: tuple[str, ...] = (),
    report: Callable[[str], None] = print,
) -> list[dict[str, Any]]:
    """Results of all runs, one dict each; a run whose file is in ``folder`` is read, not repeated.

    ``roots`` names folders by data set (``arid``, ``mnist``, ``backgrounds``).

    Raises:
        SettingError: when data that the experiment needs has no folder, or ``only`` names an unknown variant.
    """
    unknown = set(only) - set(experiment.variants)
    if unknown:
        raise SettingError(f"no variant {sorted(unknown)[0]!r}: there are {', '.join(experiment.variants)}")
    results = []
    data: dict[Any, pl.LightningDataModule] = {}
    for name, variant in experiment.variants.items():
        for seed in experiment.seeds:
            file = folder / f"{name.replace(' ', '_').replace('/', '-')}.seed{seed}.json"
            if file.is_file():
                results.append(json.loads(file.read_text(encoding="utf-8")))
            elif not only or name in only:
                started = time.perf_counter()
                result = {"variant": name, "seed": seed, **train_and_test(experiment, variant, seed, roots, data)}
                write_json(file, result)
                report(f"{name}, seed {seed}: top-1 {result['top1']:.1f} % in {time.perf_counter() - started:.0f} s")
                results.append(result)
    return results


def train_and_test(
    experiment: Experiment, variant: Variant, seed: int, roots: dict[str, str], data: dict[Any, Any]
) -> dict[str, Any]:
    """Train one network and count it on the test part; ``data`` keeps loaded videos from run to run."""
    pl.seed_everything(seed, verbose=False)
    optimization = Optimization(**experiment.optimization)
    settings = {"pretrained": experiment.start_of(variant)} | variant.hyperparameters
    model = create_model(variant.arch, num_classes_of(experiment), optimization=optimization, **settings)
    model.clip_spec = clip_of(model.clip_spec, experiment.clip | variant.clip)
    module = kept_data(experiment, model.clip_spec, roots, data)
    lay_channels_last(model.network)
    trainer = pl.Trainer(
        max_epochs=experiment.epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )
    started = time.perf_counter()
    trainer.fit(model, module)
    trained = time.perf_counter() - started
    train_loss = trainer.callback_metrics["train/loss"].item()
    (tested,) = trainer.test(model, module, verbose=False)
    return {
        "top1": 100 * tested["test/top1"],
        "mean_class": 100 * tested["test/mean_class"],
        "train_loss": train_loss,
        **measure_cost(model),
        "train_seconds": round(trained, 1),
        "date": date.today().isoformat(),
        "machine": machine_name(),
    }


def clip_of(spec: ClipSpec, changes: dict[str, Any]) -> ClipSpec:
    """A network's clip with the experiment's changes, tested on one view unless these say otherwise."""
    return replace(spec, **changes | {"views": Views(**changes.get("views", {}))})


def kept_data(
    experiment: Experiment, spec: ClipSpec, roots: dict[str, str], kept: dict[Any, Any]
) -> pl.LightningDataModule:
    """Clips of a spec, of videos kept from the last run where these have its size."""
    key = (spec.resize, spec.antialias)
    if key not in kept:
        kept.clear()
        kept[key] = load_data(experiment, spec, roots)
    module: MovingDigits | ARID = kept[key]
    if isinstance(module, MovingDigits):
        module.show(spec)
        return module
    again: ARID = load_data(experiment, spec, roots)
    again.opener = module.opener  # with the videos in memory
    return again


def measure_cost(model: ActionRecognizer) -> dict[str, int]:
    """Parameters and multiply-adds of one clip."""
    cost = count_cost(model.network.cpu(), network_input(model.clip_spec, 1))
    return {"parameters": cost.parameters, "macs": cost.macs}


def network_input(spec: ClipSpec, clips: int) -> tuple[int, int, int, int, int]:
    """Shape (B, T, C, H, W) of so many clips."""
    channels = 3 if spec.modality == "rgb" else len(spec.mean)
    return clips, spec.frames, channels, spec.size, spec.size


def num_classes_of(experiment: Experiment) -> int:
    """Classes of the experiment's data set."""
    return MovingDigits.num_classes if isinstance(experiment.data, DigitData) else len(ARID.labels)


def load_data(experiment: Experiment, spec: ClipSpec, roots: dict[str, str]) -> Any:
    """The experiment's videos as clips of a spec.

    Raises:
        SettingError: when the folder of a data set that is needed was not given.
    """
    data = experiment.data
    if isinstance(data, AridData):
        return ARID(_root("arid", roots), gamma=data.gamma, clip_spec=spec, batch_size=experiment.batch_size)
    digits = DigitSet(
        data.seed,
        size=data.size,
        mnist=_root("mnist", roots) if data.mnist else None,
        backgrounds=_root("backgrounds", roots) if data.backgrounds else None,
    )
    return MovingDigits(
        spec,
        digits,
        videos_train=data.train_videos,
        videos_val=1,  # the budget is fixed: nothing is chosen by validation
        videos_test=data.test_videos,
        batch_size=experiment.batch_size,
        relevant_epochs=data.relevant_epochs,
    )


def _root(name: str, roots: dict[str, str]) -> str:
    if not roots.get(name):
        raise SettingError(f"this experiment needs --{name} FOLDER")
    return roots[name]


def write_json(file: Path, content: dict[str, Any]) -> None:
    """A file of JSON appears whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".part")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    partial.replace(file)
