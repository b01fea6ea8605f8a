"""Show where the time of a training step goes, and try what would make it shorter.

Data, forward pass, backward pass and optimiser are timed apart on real video files; then the levers are tried, each
beside the plain step in the same round: more workers, videos in memory, channels last, bfloat16, recomputation, twice
the batch, torch.compile (asked for with --compile: it takes minutes). Without --videos some are made.
"""

import argparse
import copy
from collections.abc import Callable, Iterator
from itertools import chain, repeat
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from videozoo.cli.console import table_console
from videozoo.errors import SettingError

if TYPE_CHECKING:
    from torch import Tensor

    from videozoo.evaluation.train_step import Batch, Step
    from videozoo.training.recognizer import ActionRecognizer

MADE_VIDEOS, MADE_SIZE = 16, 240  # videos made without --videos, and their side in pixels
DOUBLE = "twice the batch, a clip"
HELPS = 0.95  # a lever that leaves more of a step than this is not named
MEBIBYTE = 2**20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo bench train`."""
    parser.add_argument("--model", default="tsm_resnet50", help="a checkpoint, or an architecture (random weights)")
    parser.add_argument("--videos", metavar="DIR", help="a folder per class (default: some made videos)")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2, help="loader processes to try")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--threads", type=int, default=None, help="threads of torch (default: torch's own choice)")
    parser.add_argument("--compile", action="store_true", help="also try torch.compile")


def run(arguments: argparse.Namespace) -> int:
    """Print both tables and the advice."""
    import warnings

    import torch

    from videozoo.cli.models import load_or_create
    from videozoo.data.moving_digits_files import write_digit_videos
    from videozoo.finetuning.training import Device

    if min(arguments.batch_size, arguments.rounds, arguments.workers) < 1:
        raise SettingError("batch size, rounds and workers must be at least 1")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = torch.device(Device.choose(arguments.device).accelerator)
    model = load_or_create(arguments.model).to(device).train()
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*self.log|.*trainer. reference")  # there is no trainer here
        if arguments.videos is None:
            write_digit_videos(folder, MADE_VIDEOS, 0, size=MADE_SIZE)
        _measure(model, arguments.videos or folder, arguments)
    return 0


def _measure(model: "ActionRecognizer", videos: str, arguments: argparse.Namespace) -> None:
    import torch
    from rich.table import Table

    from videozoo.data.datamodules.video_folder import VideoFolder
    from videozoo.evaluation.train_step import median_times

    def data(workers: int = 0, *, in_memory: bool = False) -> VideoFolder:
        spec = model.clip_spec
        module = VideoFolder(
            videos, clip_spec=spec, batch_size=arguments.batch_size, num_workers=workers, in_memory=in_memory, holdout=0
        )
        if in_memory:
            for path in map(module.annotations("train").path, range(len(module.annotations("train")))):
                module.opener(path)
        return module

    batches = _batches(model, data())
    plain = _step(model)
    times = median_times(plain, lambda: next(batches), arguments.rounds)
    total = sum(times.values())
    shape = tuple(next(batches)["clip"].shape)
    console = table_console()
    console.print(f"{arguments.model}, clips {shape}, {model.device}, {torch.get_num_threads()} threads")
    table = Table("part of a step", "ms", "share", box=None)
    for part, seconds in [*times.items(), ("together", total)]:
        table.add_row(part, f"{1000 * seconds:.1f}", f"{100 * seconds / total:.0f} %")
    console.print(table)

    levers = _data_levers(model, data, arguments) | _network_levers(model, next(batches), times, arguments)
    table = Table("lever", "a step becomes", "kept for backward, MiB", box=None)
    for name, (ratio, memory) in levers.items():
        table.add_row(name, f"{ratio:.2f} of it", "" if memory is None else f"{memory / MEBIBYTE:.0f}")
    console.print(table)
    console.print(_advice(times, {name: ratio for name, (ratio, _) in levers.items()}))


Lever = tuple[float, int | None]  # a step relative to the plain one, and bytes kept for the backward pass


def _data_levers(
    model: "ActionRecognizer", data: Callable[..., Any], arguments: argparse.Namespace
) -> dict[str, Lever]:
    """Whole loops, whose loaders work while the network does."""
    from videozoo.evaluation.train_step import loop_seconds

    candidates = {"": data(), f"{arguments.workers} workers": data(arguments.workers)}
    candidates["videos in memory"] = data(in_memory=True)
    step = _step(copy.deepcopy(model))
    seconds = {
        name: loop_seconds(step, lambda module=module: _batches(model, module), arguments.rounds)  # type: ignore[misc]
        for name, module in candidates.items()
    }
    plain = seconds.pop("")
    return {name: (spent / plain, None) for name, spent in seconds.items()}


def _network_levers(
    model: "ActionRecognizer", batch: "Batch", times: dict[str, float], arguments: argparse.Namespace
) -> dict[str, Lever]:
    """The computing of a batch in hand; its share of a step says what a step becomes."""
    import torch

    from videozoo.evaluation.benchmark import compare, saved_tensor_memory
    from videozoo.evaluation.train_step import autocast, with_faster_computing
    from videozoo.training.memory_format import lay_channels_last
    from videozoo.training.optimization import Optimization
    from videozoo.training.parameter_groups import backbones_of
    from videozoo.training.preparation import prepare_network

    stages = max(len(backbone.stages) for backbone in backbones_of(model.network))
    steps = {name: _step(copy.deepcopy(model)) for name in ("plain", DOUBLE)}
    last, recomputed = copy.deepcopy(model), copy.deepcopy(model)
    lay_channels_last(last.network)
    prepare_network(recomputed.network, Optimization(recompute_stages=stages))
    steps |= {"channels last": _step(last), "recomputation": _step(recomputed)}
    steps["bfloat16"] = _step(copy.deepcopy(model), autocast(model.device))
    if arguments.compile:
        compiled = copy.deepcopy(model)
        prepare_network(compiled.network, Optimization(compiled=True))
        steps["torch.compile"] = _step(compiled)
    double = {name: torch.cat([values, values]) for name, values in batch.items()}
    work = {
        name: (lambda step=step, name=name: step(double if name == DOUBLE else batch)) for name, step in steps.items()
    }
    levers: dict[str, Lever] = {}
    for timing in compare(work, rounds=arguments.rounds):
        clips = 2 if timing.name == DOUBLE else 1
        step = steps[timing.name]
        with step.precision():
            kept = saved_tensor_memory(lambda step=step, clips=clips: step.loss(double if clips == 2 else batch))  # type: ignore[misc]
        levers[timing.name] = with_faster_computing(times, timing.ratio / clips), kept
    return levers


def _step(model: "ActionRecognizer", precision: Any = None) -> "Step":
    """A step of the method's own, whatever its training step does."""
    from contextlib import nullcontext

    from videozoo.evaluation.train_step import Step
    from videozoo.training.parameter_groups import parameter_groups

    optimization = model.optimization
    groups = parameter_groups(
        model.network, optimization.groups, learning_rate=1e-6, weight_decay=optimization.weight_decay
    )
    optimizer = optimization.build_optimizer(groups)
    return Step(lambda batch: model.training_step(batch, 0), optimizer, precision or nullcontext)


def _batches(model: "ActionRecognizer", data: Any) -> Iterator["Batch"]:
    """Training batches without end, on the network's device, with labels that it has."""
    for batch in chain.from_iterable(repeat(data.train_dataloader())):
        moved: dict[str, Tensor] = {name: batch[name].to(model.device) for name in ("clip", "label", "index")}
        yield {**moved, "label": moved["label"] % model.num_classes}


def _advice(times: dict[str, float], ratios: dict[str, float]) -> str:
    """What helps most, in a sentence."""
    total = sum(times.values())
    part = max(times, key=lambda name: times[name])
    most = f"Most of a step is {part} ({100 * times[part] / total:.0f} %)"
    helping = sorted((ratio, name) for name, ratio in ratios.items() if ratio < HELPS and name != "plain")
    if not helping:
        return f"{most}; none of these levers makes it shorter."
    return f"{most}; what helps: " + ", ".join(f"{name} ({ratio:.2f})" for ratio, name in helping) + "."
