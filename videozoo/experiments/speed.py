"""Clips per second of an experiment's networks, measured in turn on one machine."""

import json
from collections.abc import Callable, Iterable
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from videozoo.evaluation.benchmark import compare, machine_name
from videozoo.experiments.experiment import Experiment
from videozoo.experiments.run import clip_of, network_input, num_classes_of, write_json
from videozoo.methods.create import create_model
from videozoo.training.memory_format import lay_channels_last

CLIPS = 8  # a forward pass
ROUNDS = 7


def measured_speed(experiment: Experiment, variants: Iterable[str], file: Path) -> dict[str, Any]:
    """Clips per second of each variant's forward pass; read from ``file`` if all of them are there, else kept there."""
    names = list(variants)
    if file.is_file():
        kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if set(kept["clips_per_second"]) == set(names):
            return kept
    candidates = {name: _forward(experiment, name) for name in names}
    timings = compare(candidates, rounds=ROUNDS, warmup=2)
    speed = {
        "clips_per_second": {timing.name: round(CLIPS / timing.median, 1) for timing in timings},
        "clips_at_once": CLIPS,
        "machine": machine_name(),
        "date": date.today().isoformat(),
    }
    write_json(file, speed)
    return speed


def _forward(experiment: Experiment, name: str) -> Callable[[], object]:
    """One forward pass of a variant, without gradients."""
    variant = experiment.variants[name]
    model = create_model(variant.arch, num_classes_of(experiment), **variant.hyperparameters)
    spec = clip_of(model.clip_spec, experiment.clip | variant.clip)
    lay_channels_last(model.network.eval())
    return partial(_run, model.network, torch.rand(network_input(spec, CLIPS)))


@torch.inference_mode()
def _run(network: nn.Module, clips: Tensor) -> None:
    network(clips)
