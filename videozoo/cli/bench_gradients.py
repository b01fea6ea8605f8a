"""How far one gradient per cluster is from its frames' gradients, grouping by grouping, on moving digits.

Full-video paper, figure 6: gradients of the loss by the weights of a stage (by default the third), of every frame and
every cluster alone as in equations 3 and 5. Per cluster, the Euclidean distance between its one gradient, counted once
a frame, and the sum of its frames' gradients; their mean over a video, and the root of their squares.
"""

import argparse
import operator
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
    parser.add_argument("--stage", type=int, default=3, help="whose weights, counted from 1")
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
    videos = [
        gradient_distances(model, clips[place], arguments.clusters, arguments.stage) for place in range(len(clips))
    ]
    table = Table("grouping", "mean", "below uniform, %", "together", "below uniform, %", box=None)
    for grouping in GROUPINGS:
        cells: list[str] = [grouping]
        for kind in (0, 1):
            own, even = ([video[name][kind] for video in videos] for name in (grouping, "uniform"))
            cells += [f"{mean(own):.3g}", f"{100 * mean(map(operator.lt, own, even)):.0f}"]
        table.add_row(*cells)
    print(f"{arguments.model}, {arguments.videos} videos of {FRAMES} frames, {arguments.clusters} clusters")
    Console(soft_wrap=True).print(table)
    return 0


def gradient_distances(
    model: "ActionRecognizer", sample: "dict[str, Tensor]", clusters: int, stage: int
) -> "dict[Grouping, tuple[float, float]]":
    """By grouping, the mean distance over a video's clusters, and their root of squares together.

    Raises:
        SettingError: when the backbone has no such stage after the one that is clustered.
    """
    import torch

    from videozoo.temporal.clustering import TemporalClustering

    backbone: Any = model.network.backbone
    if not 2 <= stage <= len(backbone.stages):
        raise SettingError(f"--stage {stage}: must be from 2 to {len(backbone.stages)}")
    with torch.no_grad():
        frames = backbone.stages[0](backbone.stem(sample["clip"].unsqueeze(0)))
    of_frames = _weight_gradients(model, frames[0], sample["label"], stage)
    distances = {}
    for grouping in GROUPINGS:
        clustering = TemporalClustering(clusters, grouping)
        ids = clustering.assign(frames)[0]
        sizes = torch.bincount(ids, minlength=clusters)
        of_clusters = sizes.unsqueeze(1) * _weight_gradients(model, clustering(frames)[0], sample["label"], stage)
        error = of_clusters.index_add(0, ids, -of_frames)
        distances[grouping] = error[sizes > 0].norm(dim=1).mean().item(), error.norm().item()
    return distances


def _weight_gradients(model: "ActionRecognizer", maps: "Tensor", label: "Tensor", stage: int) -> "Tensor":
    """Gradients of the losses of single maps by all weights of a stage. Shape: (T, C, H, W) -> (T, weights)."""
    import torch

    backbone: Any = model.network.backbone
    weights = list(backbone.stages[stage - 1].parameters())
    gradients = []
    for single in maps:
        features = single[None, None]
        for later in backbone.stages[1:]:
            features = later(features)
        loss = model.loss(backbone.forward_head(features).mean(dim=1), label.unsqueeze(0))
        gradients.append(torch.cat([part.flatten() for part in torch.autograd.grad(loss, weights)]))
    return torch.stack(gradients)
