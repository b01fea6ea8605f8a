"""Training steps of region-based non-local networks: with the whole matrix of weights, and as videozoo does them."""

import argparse
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from videozoo.training.recognizer import ActionRecognizer

BACKBONE = "tsm_resnet50"
MEGABYTE = 2**20


def compare(arguments: argparse.Namespace) -> Iterator[Any]:
    """What was measured, then a table of time and memory, then how far the candidates' results are apart."""
    import torch
    from rich.table import Table

    from videozoo.evaluation.benchmark import compare, peak_memory

    torch.manual_seed(0)
    networks = build_networks(arguments.backbone or BACKBONE)
    spec = networks["naive"].clip_spec
    clip = torch.randn(
        arguments.batch, arguments.frames or spec.frames, 3, arguments.size or spec.size, arguments.size or spec.size
    )
    yield (
        f"training step of rnl_{arguments.backbone or BACKBONE}: forward, backward, SGD with momentum; "
        f"clip {tuple(clip.shape)}, float32, {torch.get_num_threads()} threads, {arguments.clock} clock, "
        f"{arguments.rounds} rounds"
    )
    yield f"largest relative difference to naive: {differences(networks, clip)}"
    steps = {name: training_step(network, clip) for name, network in networks.items()}
    timings = compare(steps, rounds=arguments.rounds, clock=arguments.clock)
    held = {name: held_memory(network) for name, network in networks.items()}
    peaks = {name: peak_memory(step) for name, step in steps.items()}
    table = Table(
        "step", "median s", "ratio", "peak MB over weights", "ratio", "with weights and momentum MB", "ratio", box=None
    )
    for timing in timings:
        name = timing.name
        total, naive = peaks[name] + held[name], peaks["naive"] + held["naive"]
        table.add_row(
            name, f"{timing.median:.2f}", f"{timing.ratio:.2f}",
            f"{peaks[name] / MEGABYTE:.0f}", f"{peaks[name] / peaks['naive']:.2f}",
            f"{total / MEGABYTE:.0f}", f"{total / naive:.2f}",
        )  # fmt: skip
    yield table


def build_networks(backbone: str) -> dict[str, "ActionRecognizer"]:
    """The same network four times: naive, ours without and with recomputed early stages, and without attention."""
    from videozoo import create_model
    from videozoo.attention.affinity import affinity_weights
    from videozoo.attention.region_non_local import RegionNonLocal

    networks = {
        "naive": create_model(f"rnl_{backbone}", 400, dropout=0.0, recompute=0),
        "videozoo, all kept": create_model(f"rnl_{backbone}", 400, dropout=0.0, recompute=0),
        "videozoo": create_model(f"rnl_{backbone}", 400, dropout=0.0),
        "no attention": create_model(backbone, 400, dropout=0.0),
    }
    blocks = [block for block in networks["naive"].modules() if isinstance(block, RegionNonLocal)]
    for block in blocks:
        block.norm.weight.data.fill_(0.5)  # a block that adds nothing would hide a wrong gradient
        block.gather = whole_matrix(block, affinity_weights)  # type: ignore[method-assign]
    for name in ("videozoo, all kept", "videozoo"):
        networks[name].load_state_dict(networks["naive"].state_dict())
    return networks


def whole_matrix(block: Any, weights: Callable[..., "Tensor"]) -> Callable[..., "Tensor"]:
    """The block's sum over all positions as its equation is written: the matrix of all weights, times the values."""
    return lambda query, key, value: weights(query, key, block.affinity) @ value


def training_step(network: "ActionRecognizer", clip: "Tensor") -> Callable[[], None]:
    """One step on one batch, again and again."""
    import torch

    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9)
    labels = torch.arange(len(clip))

    def step() -> None:
        network.loss(network(clip), labels).backward()
        optimizer.step()
        optimizer.zero_grad()

    network.train()
    return step


def held_memory(network: "ActionRecognizer") -> int:
    """Bytes of weights and momentum, which are there before a step starts."""
    weights = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    return 2 * weights + sum(buffer.numel() * buffer.element_size() for buffer in network.buffers())


def differences(networks: dict[str, "ActionRecognizer"], clip: "Tensor") -> str:
    """Loss and gradients of the first step, ours against naive."""
    import torch

    found = {}
    for name in ("naive", "videozoo, all kept", "videozoo"):
        network = networks[name].train()
        loss = network.loss(network(clip), torch.arange(len(clip)))
        loss.backward()
        gradients = torch.cat(
            [parameter.grad.flatten() for parameter in network.parameters() if parameter.grad is not None]
        )
        found[name] = (loss.detach(), gradients)
        network.zero_grad()
    loss, gradients = found["naive"]
    return ", ".join(
        f"{name}: loss {abs(other - loss) / loss:.1g}, gradient {(own - gradients).norm() / gradients.norm():.1g}"
        for name, (other, own) in found.items()
        if name != "naive"
    )
