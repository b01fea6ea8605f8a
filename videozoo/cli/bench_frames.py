"""Training steps of the methods that ask which frames matter, each against the plain network on all frames."""

import argparse
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from videozoo.training.recognizer import ActionRecognizer

BACKBONES = {"pbnet": "bn_inception", "datp": "tsn_resnet34", "fullvideo": "tsm_resnet18"}
CLASSES = 101
MEGABYTE = 2**20


def compare(arguments: argparse.Namespace) -> Iterator[Any]:
    """What was measured, and tables of time and memory."""
    import torch

    torch.manual_seed(0)
    backbone = arguments.backbone or BACKBONES[arguments.method]
    yield (
        f"training step of {arguments.method}_{backbone}: forward, backward, SGD with momentum; {arguments.batch} "
        f"videos, float32, {torch.get_num_threads()} threads, {arguments.clock} clock, {arguments.rounds} rounds"
    )
    yield from {"pbnet": compare_pbnet, "datp": compare_datp, "fullvideo": compare_fullvideo}[arguments.method](
        arguments, backbone
    )


def compare_pbnet(arguments: argparse.Namespace, backbone: str) -> Iterator[Any]:
    """All snippets, half of them chosen, half of them alone; then memory over the number of snippets (figure 7)."""
    from rich.table import Table

    from videozoo.evaluation.benchmark import saved_tensor_memory

    count = arguments.frames or 6
    half = max(1, count // 2)

    def model(snippets: int, chosen: int, rule: str = "kl") -> "ActionRecognizer":
        return _create(f"pbnet_{backbone}", snippets=snippets, chosen=chosen, rule=rule)

    models = {
        f"Full-{count}": model(count, count, "full"),
        f"PBNet-{count}-{half}": model(count, half),
        f"Full-{half}": model(half, half, "full"),
    }
    yield steps_table(models, arguments)
    table = Table("snippets watched, 1 learned from", "activations kept, MB", "ratio to one", box=None)
    kept: list[int] = []
    for snippets in range(1, 9):
        network = model(snippets, 1, "max").train()
        kept.append(saved_tensor_memory(lambda network=network: loss_of(network, _batch(network, arguments))))  # type: ignore[misc]
        table.add_row(str(snippets), f"{kept[-1] / MEGABYTE:.1f}", f"{kept[-1] / kept[0]:.3f}")
    yield table


def compare_datp(arguments: argparse.Namespace, backbone: str) -> Iterator[Any]:
    """The mean over segments, and weights from either source."""
    frames = arguments.frames or 10
    yield steps_table(
        {
            f"mean of {frames}": _create(f"datp_{backbone}", segments=frames, scheme="mean"),
            "DATP, maps": _create(f"datp_{backbone}", segments=frames),
            "DATP, scores": _create(f"datp_{backbone}", segments=frames, read="scores"),
        },
        arguments,
    )


def compare_fullvideo(arguments: argparse.Namespace, backbone: str) -> Iterator[Any]:
    """All frames, all frames in clusters, as many frames as clusters; then what clustering takes of a forward pass."""
    from dataclasses import replace

    from rich.table import Table

    from videozoo.evaluation.cost import count_cost

    frames = arguments.frames or 32
    models: dict[str, ActionRecognizer] = {}
    for count in (frames, 8, 16):
        models[f"{count} frames"] = _create(backbone)
        models[f"{count} frames"].clip_spec = replace(models[f"{count} frames"].clip_spec, frames=count)
    for clusters in (8, 16):
        models[f"{frames} in {clusters} clusters"] = _create(f"fullvideo_{backbone}", frames=frames, clusters=clusters)
    keeping = f"{frames} in 8, all kept"
    models[keeping] = _create(f"fullvideo_{backbone}", frames=frames, recompute=False)
    table = Table("network", "10^9 multiply-adds", box=None)
    for name, model in models.items():
        shape = _batch(model, arguments)["clip"][:1].shape
        table.add_row(name, f"{count_cost(model.network, shape).macs / 1e9:.2f}")
    yield table
    yield steps_table(models, arguments)
    yield clustering_share(models[keeping], arguments)


def clustering_share(model: "ActionRecognizer", arguments: argparse.Namespace) -> Any:
    """A table: a forward pass without graph, and the clustering alone on what it meets there."""
    import torch
    from rich.table import Table

    from videozoo.evaluation.benchmark import compare
    from videozoo.temporal.clustering import unrepeated_lengths

    network: Any = model.eval().network
    clip = _batch(model, arguments)["clip"]
    with torch.no_grad():
        features = network.frame_features(clip)
        timings = compare(
            {
                "forward pass": lambda: network(clip),
                "clustering": lambda: network.clustering(features, unrepeated_lengths(clip)),
            },
            rounds=max(arguments.rounds, 5),
            clock=arguments.clock,
        )
    table = Table("part", "median ms", "ratio", box=None)
    for timing in timings:
        table.add_row(timing.name, f"{1000 * timing.median:.1f}", f"{timing.ratio:.4f}")
    return table


def steps_table(models: Mapping[str, "ActionRecognizer"], arguments: argparse.Namespace) -> Any:
    """Time of a step; what it keeps for its backward pass, but for the inputs of recomputed parts; its peak memory."""
    from rich.table import Table

    from videozoo.evaluation.benchmark import compare, peak_memory, saved_tensor_memory

    table = Table("step", "median s", "ratio", "kept MB", "ratio", "peak MB", "ratio", box=None)
    steps = {name: training_step(model, _batch(model, arguments)) for name, model in models.items()}
    timings = compare(steps, rounds=arguments.rounds, clock=arguments.clock)
    kept, peaks = {}, {}
    for name, model in models.items():
        batch = _batch(model, arguments)
        kept[name] = saved_tensor_memory(lambda: loss_of(model, batch))  # noqa: B023
        peaks[name] = peak_memory(steps[name])
    first = timings[0].name
    for timing in timings:
        name = timing.name
        table.add_row(
            name, f"{timing.median:.2f}", f"{timing.ratio:.3f}", f"{kept[name] / MEGABYTE:.0f}",
            f"{kept[name] / kept[first]:.2f}", f"{peaks[name] / MEGABYTE:.0f}", f"{peaks[name] / peaks[first]:.2f}",
        )  # fmt: skip
    return table


def training_step(model: "ActionRecognizer", batch: "dict[str, Tensor]") -> Callable[[], None]:
    """One step on one batch, again and again; gradients stay, so that they are no part of its memory."""
    import torch

    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    model.train()

    def step() -> None:
        optimizer.zero_grad(set_to_none=False)
        loss_of(model, batch).backward()
        optimizer.step()

    return step


def loss_of(model: "ActionRecognizer", batch: "dict[str, Tensor]") -> "Tensor":
    """The method's own training step, choice of snippets and all."""
    return model.training_step(batch, 0)


def _create(arch: str, **settings: Any) -> "ActionRecognizer":
    """An architecture that keeps what it logs to itself: there is no trainer."""
    from videozoo import create_model

    model = create_model(arch, CLASSES, dropout=0.0, **settings)
    model.log = lambda *arguments, **options: None  # type: ignore[method-assign]
    return model


def _batch(model: "ActionRecognizer", arguments: argparse.Namespace) -> "dict[str, Tensor]":
    """Noise of the model's own clip shape."""
    import torch

    spec = model.clip_spec
    size = arguments.size or spec.size
    clip = torch.randn(arguments.batch, spec.frames, 3, size, size, generator=torch.Generator().manual_seed(0))
    return {"clip": clip, "label": torch.arange(arguments.batch) % CLASSES}
