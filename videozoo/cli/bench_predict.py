"""Time prediction against a plain pipeline, part by part, as ratios in one run.

Plain means: decode every frame with PyAV, transform the chosen ones with torchvision, run the eager float32 network on
contiguous memory. Rounds of all candidates are interleaved, so that a change of the machine's speed hits all alike.
"""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from videozoo.cli.console import table_console

if TYPE_CHECKING:
    from torch import Tensor

    from videozoo.clip_spec import ClipSpec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo bench predict`."""
    parser.add_argument("video", help="a video file")
    parser.add_argument("--model", default="x3d_m", help="a checkpoint, or an architecture (random weights)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=None, help="threads of torch (default: torch's own choice)")
    parser.add_argument("--memory", action="store_true", help="also compare resident memory on 10 s and 10 min")


def run(arguments: argparse.Namespace) -> int:
    """Print the table of medians and ratios."""
    import torch

    from videozoo.cli.models import load_or_create
    from videozoo.clip_spec import Views
    from videozoo.data.reading import read_views
    from videozoo.evaluation.benchmark import machine_name

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    model = load_or_create(arguments.model)
    clip = read_views(arguments.video, model.clip_spec, Views())
    console = table_console()
    console.print(f"{arguments.model}, clip {tuple(clip.shape[1:])}, {machine_name()}")
    console.print(_table("network", _network_candidates(model, clip), arguments.rounds))
    console.print(_table("file to clip", _reading_candidates(arguments.video, model.clip_spec), arguments.rounds))
    console.print(_table("frames only", _frame_candidates(arguments.video, model.clip_spec), arguments.rounds))
    console.print(_table("file to answer", _whole_candidates(model, arguments.video), arguments.rounds))
    if arguments.memory:
        from videozoo.cli.bench_memory import compare_reading_memory

        console.print(compare_reading_memory(arguments.video, model.clip_spec.frames))
    return 0


def _network_candidates(model: Any, clip: "Tensor") -> dict[str, Callable[[], Any]]:
    import torch

    from videozoo.inference.optimize import optimize_for_inference, to_channels_last

    optimized = optimize_for_inference(model.network)

    def plain() -> "Tensor":
        with torch.inference_mode():
            return model.network(clip)

    def fast() -> "Tensor":
        with torch.inference_mode():
            return optimized(to_channels_last(clip))

    def fast_bf16() -> "Tensor":
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            return optimized(to_channels_last(clip))

    expected = plain()
    scale = expected.abs().max().item()
    for name, candidate in (("float32", fast), ("bf16", fast_bf16)):
        difference = (candidate().float() - expected).abs().max().item()
        print(f"largest difference of scores, {name} to plain: {difference:.2g} (largest score {scale:.2g})")
    return {"plain": plain, "videozoo float32": fast, "videozoo bf16": fast_bf16}


def plain_read(path: str, spec: "ClipSpec") -> "Tensor":
    """One centre clip as a plain pipeline makes it: all frames decoded to RGB, then torchvision transforms."""
    import av
    import torch
    from torchvision.transforms import v2

    from videozoo.data.sampling import sample_indices

    with av.open(path) as container:
        fps = float(container.streams.video[0].average_rate or 30)
        frames = torch.stack([torch.from_numpy(f.to_ndarray(format="rgb24")) for f in container.decode(video=0)])
    chosen = frames[sample_indices(spec, len(frames), fps)[0]].permute(0, 3, 1, 2)
    transform = v2.Compose(
        [
            v2.Resize(spec.resize, antialias=spec.antialias),
            v2.CenterCrop(spec.size),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(spec.mean, spec.std),
        ]
    )
    return transform(chosen)[None]


def _reading_candidates(path: str, spec: "ClipSpec") -> dict[str, Callable[[], Any]]:
    """A centre clip, read by the plain pipeline and by ours."""
    from videozoo.clip_spec import Views
    from videozoo.data.reading import read_views

    return {"plain": lambda: plain_read(path, spec), "videozoo": lambda: read_views(path, spec, Views())}


def _frame_candidates(path: str, spec: "ClipSpec") -> dict[str, Callable[[], Any]]:
    """The frames of a centre clip without any transform: decord's and torchcodec's where installed, then ours.

    Each opens the file, asks how many frames there are, and reads with one thread.
    """
    from importlib.util import find_spec

    from videozoo.data.decoding import VideoReader
    from videozoo.data.sampling import sample_indices

    with VideoReader(path) as reader:
        indices = sample_indices(spec, reader.frame_count, reader.fps)[0]

    def ours() -> "Tensor":
        with VideoReader(path) as reader:
            count = reader.frame_count
            return reader.frames([min(index, count - 1) for index in indices])

    def by_decord() -> Any:
        import decord

        reader = decord.VideoReader(path, num_threads=1)
        return reader.get_batch([min(index, len(reader) - 1) for index in indices])

    def by_torchcodec() -> Any:
        from torchcodec.decoders import VideoDecoder

        decoder = VideoDecoder(path, num_ffmpeg_threads=1)
        return decoder.get_frames_at(indices=[min(index, len(decoder) - 1) for index in indices])

    others = {"decord": by_decord, "torchcodec": by_torchcodec}
    return {name: read for name, read in others.items() if find_spec(name) is not None} | {"videozoo": ours}


def _whole_candidates(model: Any, path: str) -> dict[str, Callable[[], Any]]:
    import torch

    def plain() -> "Tensor":
        with torch.inference_mode():
            return model.network(plain_read(path, model.clip_spec))

    return {"plain": plain, "videozoo": lambda: model.predict(path)}


def _table(title: str, candidates: dict[str, Callable[[], Any]], rounds: int) -> Any:
    from rich.table import Table

    from videozoo.evaluation.benchmark import compare

    table = Table(title, "median ms", "ratio to the first", box=None)
    for timing in compare(candidates, rounds=rounds):
        table.add_row(timing.name, f"{1000 * timing.median:.1f}", f"{timing.ratio:.2f}")
    return table
