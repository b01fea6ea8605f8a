"""What the methods that ask which frames matter find in one video, as rows of a time line."""

from dataclasses import replace

import torch
from torch import Tensor

from videozoo.backbones.base import Backbone
from videozoo.clip_spec import ClipSpec
from videozoo.data.reading import read_views
from videozoo.errors import SettingError
from videozoo.methods.datp import AdaptiveNetwork
from videozoo.methods.fullvideo import ClusteringNetwork
from videozoo.methods.pbnet import SnippetNetwork
from videozoo.temporal.clustering import Grouping, TemporalClustering, neighbour_distances
from videozoo.temporal.snippet_pooling import SnippetPooling
from videozoo.training.principal_backpropagation import PrincipalBackpropagation, Rule, divergences
from videozoo.training.recognizer import ActionRecognizer
from videozoo.visualization.heat import to_pixels
from videozoo.visualization.timeline import Clusters, Curves, Marks


def read_evenly(video: str, spec: ClipSpec, segments: int) -> Tensor:
    """A clip with the centre of each of so many equal parts of a video. Shape: (1, T, C, H, W)."""
    length = spec.frames_per_segment
    return read_views(video, replace(spec, frames=segments * length, sampling="uniform", stride=1))[:1]


def shown_frames(clip: Tensor, spec: ClipSpec) -> Tensor:
    """The middle frame of every segment as a picture. Shape: (1, S * F, C, H, W) -> uint8 (S, 3, H, W)."""
    length = spec.frames_per_segment
    return to_pixels(clip[0, length // 2 :: length], spec)


@torch.no_grad()
def cluster_rows(
    model: ActionRecognizer, clip: Tensor, groupings: list[Grouping], clusters: int | None, name: str
) -> list[Clusters | Curves]:
    """Distances between neighbouring frames after the clustered stage, and the clusters of each grouping.

    Networks that do not cluster are looked at after their first stage.
    """
    network = model.eval().network
    if isinstance(network, ClusteringNetwork):
        features, number = network.frame_features(clip), network.clustering.clusters
        groupings = groupings or [network.clustering.grouping]
    elif isinstance(backbone := getattr(network, "backbone", None), Backbone):
        features, number = backbone.stages[0](backbone.stem(clip)), 8
    else:
        raise SettingError(f"{name}: {type(model).__name__} has no backbone whose stages could be looked at")
    groupings = groupings or ["cumulative", "slope", "uniform"]
    number = clusters or number
    distances = [0.0, *neighbour_distances(features)[0].double().tolist()]
    rows: list[Clusters | Curves] = [Curves(f"{name}: Hamming distance to the frame before", bars=distances)]
    for grouping in groupings:
        ids = TemporalClustering(number, grouping).assign(features)[0].tolist()
        rows.append(Clusters(f"{grouping}, {len(set(ids))} of {number} clusters used", ids))
    return rows


@torch.no_grad()
def weight_row(model: ActionRecognizer, clip: Tensor, target: int | None, name: str) -> Curves:
    """Weights of the segments as bars, over them the softmax scores of a class and of its strongest rival.

    Raises:
        SettingError: when the network pools without weights, or has no such class.
    """
    network = model.eval().network
    if not isinstance(network, AdaptiveNetwork):
        raise SettingError(f"{name}: {type(model).__name__} has no weights; a network of the method datp has")
    scores, features = network.segments(clip)
    weights = network.pooling.weights(features)
    pooled = network.pool(scores, weights)[0]
    shown = _target(pooled, target, name)
    rival = int(pooled.index_fill(0, torch.tensor(shown), float("-inf")).argmax())
    probabilities = scores[0].softmax(dim=-1)
    lines = [
        (f"{model.labels[k]} ({pooled.softmax(dim=-1)[k]:.2f} pooled)", probabilities[:, k].tolist())
        for k in (shown, rival)
    ]
    return Curves(f"{name}: weights as bars;", lines, weights[0].tolist())


@torch.no_grad()
def snippet_row(model: ActionRecognizer, clip: Tensor, chosen: int, rule: Rule, target: int | None, name: str) -> Marks:
    """Each snippet's divergence from the whole, and the subset that a rule takes of all there are.

    Raises:
        SettingError: when the network scores no frames one by one, or has no such class.
    """
    model.eval()
    scores = snippet_scores(model, clip, name).double()
    pooling = SnippetPooling()
    whole = pooling(scores)
    label = torch.tensor([_target(whole[0], target, name)])
    strategy = PrincipalBackpropagation(chosen, rule, "all")
    strategy.check(scores.shape[1])
    places = strategy.choose(scores, label, pooling)[0].tolist()
    distances = divergences(whole.unsqueeze(1), scores)[0].tolist()
    best = whole[0].softmax(dim=-1)
    title = f"{name}: {model.labels[int(best.argmax())]} {best.max():.2f}; KL to the whole, {chosen} chosen by {rule}"
    return Marks(title, distances, places)


def snippet_scores(model: ActionRecognizer, clip: Tensor, name: str) -> Tensor:
    """Scores of every snippet or frame. Shape: (1, S * F, C, H, W) -> (1, S, K)."""
    network = model.network
    if isinstance(network, SnippetNetwork):
        longest = torch.full((1,), max(len(network.lengths) - 1, 0))
        return network.score(network.split(clip), longest)
    backbone = getattr(network, "backbone", None)
    if isinstance(backbone, Backbone):
        scores = backbone(clip)
        if scores.shape[1] == clip.shape[1]:
            return scores
    raise SettingError(f"{name}: {type(model).__name__} does not score every frame")


def _target(scores: Tensor, target: int | None, name: str) -> int:
    """The class asked for, or the best."""
    if target is None:
        return int(scores.argmax())
    if not 0 <= target < len(scores):
        raise SettingError(f"class {target}: {name} has classes 0 to {len(scores) - 1}")
    return target
