"""Dynamic image, a motion baseline: a backbone on rank-pooled pictures (Bilen 2016; thesis, table 3.12)."""

from collections import OrderedDict
from dataclasses import replace

from torch import nn

from videozoo.backbones.create import create_backbone
from videozoo.representations.dynamic_image import DynamicImage as Picture
from videozoo.representations.dynamic_image import Weights
from videozoo.temporal.consensus import AverageConsensus
from videozoo.training.optimization import Optimization
from videozoo.training.recognizer import ActionRecognizer


class DynamicImage(ActionRecognizer):
    """One rank-pooled picture of ``frames`` consecutive frames of every segment, in front of any backbone.

    Shape: (B, S * F, C, H, W) -> (B, K).
    """

    def __init__(
        self,
        backbone: str,
        num_classes: int,
        *,
        segments: int | None = None,
        frames: int = 6,
        weights: Weights = "simple",
        dropout: float | None = None,
        pretrained: str | None = None,
        optimization: Optimization | None = None,
    ) -> None:
        body = create_backbone(backbone, num_classes, dropout=dropout, pretrained=pretrained)
        spec = body.clip_spec.in_snippets(frames)
        picture = Picture(frames=frames, weights=weights, mean=spec.mean, std=spec.std)
        super().__init__(
            nn.Sequential(OrderedDict(representation=picture, backbone=body, consensus=AverageConsensus())),
            clip_spec=replace(spec, frames=frames * (segments or spec.segments)),
            num_classes=num_classes,
            optimization=optimization,
        )
        self.save_hyperparameters()
