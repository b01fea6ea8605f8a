"""DATP: segments of a video weighted by what they show (Song et al., Deep Adaptive Temporal Pooling, ACM MM 2018)."""

from dataclasses import replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from videozoo.backbones.base import Backbone
from videozoo.backbones.create import create_backbone
from videozoo.clip_spec import ClipSpec, Views
from videozoo.errors import SettingError
from videozoo.temporal.adaptive_pooling import AdaptivePooling, weighted_pool
from videozoo.temporal.segment_weights import Generator, random_gaussians
from videozoo.training.optimization import Optimization
from videozoo.training.recognizer import ActionRecognizer

Scheme = Literal["datp", "random", "mean25", "mean"]
Pooled = Literal["scores", "probabilities"]
ReadFrom = Literal["conv", "scores"]
SCHEMES = ("datp", "random", "mean25", "mean")
LEAST = 1e-6  # a probability whose logarithm is still taken


class AdaptiveNetwork(nn.Module):
    """A backbone whose segments' scores are pooled by weights from its own features.

    A segment is one frame, or ``fields`` flow fields stacked as channels. Shape: (B, T * F, C, H, W) -> (B, K).
    """

    def __init__(
        self,
        backbone: Backbone,
        pooling: AdaptivePooling,
        *,
        fields: int,
        read: ReadFrom,
        pooled: Pooled,
        detach: bool,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.pooling = pooling
        self.fields = fields
        self.read = read
        self.pooled = pooled
        self.detach = detach
        self.scheme: Scheme = "datp"
        self.seed = 0

    def forward(self, clip: Tensor) -> Tensor:
        scores, features = self.segments(clip)
        scheme = "datp" if self.training and self.scheme in ("random", "mean25") else self.scheme
        if scheme == "mean":
            return scores.mean(dim=1)
        if scheme == "mean25":  # frame by frame, without the module: the mean of softmax scores
            return scores.softmax(dim=-1).mean(dim=1).clamp_min(LEAST).log()
        weights = self.random_weights(scores) if scheme == "random" else self.pooling.weights(features)
        return self.pool(scores, weights)

    def segments(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of every segment, and what their weights are read from. Shape: -> (B, T, K), (B, T, ...)."""
        stacked = clip.unflatten(1, (-1, self.fields)).flatten(2, 3)  # the fields of a segment are its channels
        features = self.backbone.forward_features(stacked)
        scores = self.backbone.forward_head(features)
        if self.read == "scores":
            features = scores.softmax(dim=-1)
        return scores, features.detach() if self.detach else features

    def weights(self, clip: Tensor) -> Tensor:
        """How much each segment counts, for display. Shape: (B, T * F, C, H, W) -> (B, T)."""
        return self.pooling.weights(self.segments(clip)[1])

    def pool(self, scores: Tensor, weights: Tensor) -> Tensor:
        """Pooled scores, or the logarithm of pooled probabilities, made to add up to 1 again."""
        if self.pooled == "scores":
            return weighted_pool(scores, weights)
        pooled = weighted_pool(scores.softmax(dim=-1), weights).clamp_min(LEAST)
        return (pooled / pooled.sum(dim=-1, keepdim=True)).log()

    def random_weights(self, scores: Tensor) -> Tensor:
        """Weights of two random Gaussians a video, the same for equal batches (P1)."""
        generator = torch.Generator().manual_seed(self.seed)
        return random_gaussians(scores.shape[0], 2, scores.shape[1], generator).to(scores)


class DATP(ActionRecognizer):
    """Adaptive pooling of ``segments`` frames behind any backbone that scores every frame.

    ``generator`` is a mixture of ``gaussians`` or discrete weights, ``read`` what it is read from, the last
    convolutional features or the softmax of the scores (``detach``: without gradient). ``pooled`` are scores before
    softmax; the paper's probabilities keep the cross-entropy from falling below 1.1 to 2.9. ``scheme`` (table 4): datp;
    in evaluation random weights (P1) or the mean over 25 frames (P2); mean, in training too (P3). ``flow_length``
    fields a segment make it the flow stream. ``layers``, ``hidden`` and ``grid`` are those of AdaptivePooling.

    Shape: (B, T, C, H, W) -> (B, K).
    """

    backbones: ClassVar[tuple[str, ...]] = ("tsn_*", "tsm_*", "bn_inception", "inception_resnet_v2")

    def __init__(
        self,
        backbone: str,
        num_classes: int,
        *,
        segments: int = 10,
        generator: Generator = "mixture",
        gaussians: int = 2,
        read: ReadFrom = "conv",
        pooled: Pooled = "scores",
        scheme: Scheme = "datp",
        layers: int = 2,
        hidden: int = 64,
        grid: int = 7,
        detach: bool = False,
        flow_length: int | None = None,
        dropout: float | None = None,
        pretrained: str | None = None,
        optimization: Optimization | None = None,
    ) -> None:
        _check(read, pooled, flow_length)
        channels = 2 * flow_length if flow_length else 3  # a field goes across and down
        body = create_backbone(backbone, num_classes, in_channels=channels, dropout=dropout, pretrained=pretrained)
        pooling = AdaptivePooling(
            body.channels[-1][-1] if read == "conv" else num_classes,
            segments=segments,
            source="maps" if read == "conv" else "sequence",
            generator=generator,
            gaussians=gaussians,
            layers=layers,
            hidden=hidden,
            grid=grid,
        )
        fields = flow_length or 1
        spec = replace(body.clip_spec, frames=segments * fields, frames_per_segment=fields, sampling="uniform")
        super().__init__(
            AdaptiveNetwork(body, pooling, fields=fields, read=read, pooled=pooled, detach=detach),
            clip_spec=spec.of_flow() if flow_length else spec,
            num_classes=num_classes,
            optimization=optimization,
        )
        self.save_hyperparameters()
        self.test_by(scheme)

    def test_by(self, scheme: Scheme) -> None:
        """Take a test scheme of table 4, and the views it is done with.

        Raises:
            SettingError: when there is no such scheme.
        """
        if scheme not in SCHEMES:
            raise SettingError(f"scheme {scheme!r}: must be one of {', '.join(SCHEMES)}")
        assert isinstance(self.network, AdaptiveNetwork)
        self.network.scheme = scheme
        self.clip_spec = replace(self.clip_spec, views=scheme_views(scheme, self.clip_spec))


def scheme_views(scheme: Scheme, spec: ClipSpec) -> Views:
    """Ten crops, the segments of training; P2 has TSN's 25, whose probabilities are averaged (section 4.3)."""
    if scheme == "mean25":
        return Views(crops=10, frames=25 * spec.frames_per_segment, average="probabilities")
    return Views(crops=10, average=spec.views.average)


def _check(read: ReadFrom, pooled: Pooled, flow_length: int | None) -> None:
    if read not in ("conv", "scores"):
        raise SettingError(f"read {read!r}: must be conv or scores")
    if pooled not in ("scores", "probabilities"):
        raise SettingError(f"pooled {pooled!r}: must be scores or probabilities")
    if flow_length is not None and flow_length < 1:
        raise SettingError(f"flow_length {flow_length}: must be at least 1")
