"""Time and memory of TVNet-50 on one pair of 240 x 320, beside OpenCV's TV-L1 with as many iterations."""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.table import Table
from torch import Tensor

from videozoo.cli.console import table_console
from videozoo.cli.opencv_flow import default_methods, tv_l1
from videozoo.data.flow_solvers import has_opencv
from videozoo.data.middlebury import read_pairs
from videozoo.evaluation.benchmark import compare, peak_memory
from videozoo.representations.image_pyramid import resample
from videozoo.representations.tvnet import TVNet
from videozoo.representations.tvnet_options import Trainable, TVNetOptions

HEIGHT, WIDTH = 240, 320
BATCH = 8
BLOCK = 10  # iterations between two kept states, where memory is saved


def run_speed(arguments: argparse.Namespace) -> dict[str, Any]:
    """Print two tables, times as ratios in interleaved rounds and memory in exact bytes."""
    frames = _frames(arguments.folder)
    candidates = {**_opencv(frames, arguments.threads), **_tvnet(frames, arguments.device)}
    timings = compare(candidates, rounds=arguments.rounds, warmup=2, clock=arguments.clock)
    first = next(iter(candidates))
    title = f"{HEIGHT} x {WIDTH}, {torch.get_num_threads()} threads, {arguments.device}, {arguments.clock} clock"
    table = Table(title, "median ms", f"ratio to {first}", box=None)
    for timing in timings:
        table.add_row(timing.name, f"{1000 * timing.median:.1f}", f"{timing.ratio:.3f}")
    memory = _memory(frames, arguments.device)
    memories = Table("training memory, MB", *(f"{n} iterations" for n in memory["plain"]), box=None)
    for name, by_length in memory.items():
        memories.add_row(name, *(f"{size / 2**20:.1f}" for size in by_length.values()))
    console = table_console()
    console.print(table)
    console.print(memories)
    times = {t.name: {"milliseconds": 1000 * t.median, "ratio": t.ratio} for t in timings}
    return {"setting": title, "first": first, "times": times, "memory_bytes": memory}


def _frames(folder: Path | None) -> Tensor:
    """Two frames, of Middlebury's RubberWhale where it is there, or drifting noise. Shape: (2, 1, 3, H, W), 0..255."""
    pairs = [pair for pair in read_pairs(folder) if pair.name == "RubberWhale"] if folder else []
    if pairs:
        return resample(pairs[0].frames.float(), (HEIGHT, WIDTH))[:, None]
    coarse = 255 * torch.rand(1, 3, HEIGHT // 8, WIDTH // 8 + 1, generator=torch.Generator().manual_seed(0))
    texture = resample(coarse, (HEIGHT, WIDTH + 8))
    return torch.stack([texture[..., :WIDTH], texture[..., 1 : WIDTH + 1]])


def _opencv(frames: Tensor, threads: int | None) -> dict[str, Callable[[], object]]:
    if not has_opencv():
        return {}
    import cv2

    cv2.setNumThreads(threads or torch.get_num_threads())
    grey = [cv2.cvtColor(f[0].byte().permute(1, 2, 0).numpy(), cv2.COLOR_RGB2GRAY) for f in frames]
    methods = {"OpenCV TV-L1 1-1-50": tv_l1(1, 1, 50), **{f"OpenCV {n}": m for n, m in default_methods().items()}}
    return {name: partial(method.calc, *grey, None) for name, method in methods.items()}


def _tvnet(frames: Tensor, device: str) -> dict[str, Callable[[], object]]:
    first, second = frames.to(device)
    many = [frame.expand(BATCH, -1, -1, -1) for frame in (first, second)]
    plain, trained = _net("nothing", device), _net("all", device)
    compiled, compiled_trained = _net("nothing", device), _net("all", device)
    compiled.compile()
    compiled_trained.compile()

    @torch.no_grad()
    def solve(net: TVNet, *pair: Tensor) -> Tensor:
        return net.flow(*pair)

    def learn(net: TVNet) -> None:
        net.flow(first, second).square().mean().backward()

    return {
        "TVNet-50 forward": lambda: solve(plain, first, second),
        "TVNet-50 forward, compiled": lambda: solve(compiled, first, second),
        f"TVNet-50 forward, {BATCH} pairs": lambda: solve(plain, *many),
        f"TVNet-50 forward, {BATCH} pairs, compiled": lambda: solve(compiled, *many),
        "TVNet-50 forward, trainable": lambda: solve(trained, first, second),
        "TVNet-50 forward and backward": lambda: learn(trained),
        "TVNet-50 forward and backward, compiled": lambda: learn(compiled_trained),
        f"TVNet-50 forward and backward, blocks of {BLOCK}": lambda: learn(_net("all", device, BLOCK)),
    }


def _net(trainable: Trainable, device: str, block: int | None = None, iterations: int = 50) -> TVNet:
    options = TVNetOptions(reference_size=(HEIGHT, WIDTH), checkpoint_every=block)
    return TVNet(1, 1, iterations, trainable=trainable, options=options).to(device)


def _memory(frames: Tensor, device: str) -> dict[str, dict[int, int]]:
    """Most bytes held by one training step at several depths, everything kept or states of blocks only."""
    first, second = frames.to(device)

    def step(net: TVNet) -> None:
        net.flow(first, second).square().mean().backward()

    def peaks(block: int | None) -> dict[int, int]:
        nets = {n: _net("all", device, block, n) for n in (10, 20, 50, 100)}
        return {n: peak_memory(partial(step, net)) for n, net in nets.items()}

    return {"plain": peaks(None), f"blocks of {BLOCK}": peaks(BLOCK)}
