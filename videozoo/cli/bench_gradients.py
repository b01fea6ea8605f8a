"""How far a cluster's one gradient is from its frames' gradients, grouping by grouping, on moving digits.

Full-video paper, figure 6: the gradients of the loss by the maps that leave a late stage, and per cluster the Euclidean
distance between its own and its frames' summed ones: once with the loss of the whole clip, once with a loss of every
frame and cluster alone, as in equations 3 and 5. Figure 6 has cumulative below slope below uniform; what one finds
depends on the network.
"""

import argparse
from typing import TYPE_CHECKING, Any

from videozoo.errors import SettingError

if TYPE_CHECKING:
    from torch import Tensor

    from videozoo.temporal.clustering import Grouping
    from videozoo.training.recognizer import ActionRecognizer

DEFAULT_MODEL = "tsm_resnet10_tiny.moving_digits"
GROUPINGS: tuple["Grouping", ...] = ("cumulative", "slope", "uniform")
FRAMES = 32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo bench gradients`."""
    parser.add_argument("--model", default=DEFAULT_MODEL, help="checkpoint, or an architecture (random weights)")
    parser.add_argument("--clusters", type=int, default=16)
    parser.add_argument("--videos", type=int, default=24, help="moving-digits videos of the test part")
    parser.add_argument("--mnist", help="folder of MNIST's idx files (without: drawn digits)")
    parser.add_argument("--backgrounds", help="folder of background videos (without: drawn textures)")


def run(arguments: argparse.Namespace) -> int:
    """Print the table."""
    if arguments.videos < 2 or arguments.clusters < 1:
        raise SettingError(f"--videos {arguments.videos}, --clusters {arguments.clusters}: at least 2 and 1")

    from dataclasses import replace
    from statistics import mean

    from rich.console import Console
    from rich.table import Table

    from videozoo.cli.models import load_or_create
    from videozoo.data.digit_set import DigitClips, DigitSet

    model = load_or_create(arguments.model).eval()
    spec = replace(model.clip_spec, frames=FRAMES, sampling="all", frames_per_segment=1)
    digits = DigitSet(0, "test", frames=FRAMES, mnist=arguments.mnist, backgrounds=arguments.backgrounds)
    clips = DigitClips(digits, arguments.videos, spec, training=False)
    found: dict[Grouping, list[tuple[float, float]]] = {grouping: [] for grouping in GROUPINGS}
    for place in range(arguments.videos):
        sample = clips[place]
        for grouping in GROUPINGS:
            found[grouping].append(gradient_distances(model, sample, arguments.clusters, grouping))
    table = Table("grouping", "whole clip", "below uniform, %", "frames alone", "below uniform, %", box=None)
    for grouping, pairs in found.items():
        cells: list[str] = [grouping]
        for kind in (0, 1):
            cells.append(f"{mean(pair[kind] for pair in pairs):.3g}")
            below = mean(own[kind] < even[kind] for own, even in zip(pairs, found["uniform"], strict=True))
            cells.append(f"{100 * below:.0f}")
        table.add_row(*cells)
    print(f"{arguments.model}, {arguments.videos} videos of {FRAMES} frames, {arguments.clusters} clusters")
    Console(soft_wrap=True).print(table)
    return 0


def gradient_distances(
    model: "ActionRecognizer", sample: "dict[str, Tensor]", clusters: int, grouping: "Grouping"
) -> tuple[float, float]:
    """The mean distance over a video's clusters: losses of the whole clip, losses of frames and clusters alone."""
    import torch

    from videozoo.temporal.clustering import TemporalClustering

    backbone: Any = model.network.backbone
    with torch.no_grad():
        frames = backbone.stages[0](backbone.stem(sample["clip"].unsqueeze(0)))
    clustering = TemporalClustering(clusters, grouping)
    ids = clustering.assign(frames)[0]
    merged = clustering(frames)
    sizes = torch.bincount(ids, minlength=clusters)
    distances = []
    for alone in (False, True):
        every, single = (_late_gradients(model, maps, sample["label"], alone=alone) for maps in (frames, merged))
        if alone:  # one frame's worth each
            single = single * sizes.view(-1, 1, 1, 1)
        summed = torch.zeros_like(single).index_add(0, ids, every)
        distances.append((single - summed)[sizes > 0].flatten(1).norm(dim=1).mean().item())
    return distances[0], distances[1]


def _late_gradients(model: "ActionRecognizer", features: "Tensor", label: "Tensor", *, alone: bool) -> "Tensor":
    """Gradient of the loss by every map after the stage before the last. Shape: (1, T, ...) -> (T, ...)."""
    import torch

    backbone: Any = model.network.backbone
    *before, last = backbone.stages[1:]
    if alone:
        features = features.transpose(0, 1)  # clips of one frame
    with torch.no_grad():
        for stage in before:
            features = stage(features)
    features.requires_grad_()
    scores = backbone.forward_head(last(features)).mean(dim=1)
    loss = len(scores) * model.loss(scores, label.expand(len(scores)))  # the sum of all losses
    (gradients,) = torch.autograd.grad(loss, features)
    return gradients.flatten(0, 1)
