"""RGB difference, a motion baseline: a backbone on stacked differences of frames (TSN; thesis, tables 3.12 and 5.1)."""

from collections import OrderedDict
from dataclasses import replace

from torch import nn

from videozoo.backbones.create import create_backbone
from videozoo.representations.rgb_difference import RGBDifference as Difference
from videozoo.temporal.consensus import AverageConsensus
from videozoo.training.optimization import Optimization
from videozoo.training.recognizer import ActionRecognizer


class RGBDifference(ActionRecognizer):
    """Differences of ``frames`` consecutive frames of every segment, in front of any backbone.

    The backbone's first convolution takes 3 * (frames - 1) channels, adapted from RGB weights by averaging.

    Shape: (B, S * F, C, H, W) -> (B, K).
    """

    def __init__(
        self,
        backbone: str,
        num_classes: int,
        *,
        segments: int | None = None,
        frames: int = 6,
        dropout: float | None = None,
        pretrained: str | None = None,
        optimization: Optimization | None = None,
    ) -> None:
        difference = Difference(frames=frames)
        body = create_backbone(
            backbone, num_classes, in_channels=difference.out_channels, dropout=dropout, pretrained=pretrained
        )
        spec = body.clip_spec.in_snippets(frames)
        super().__init__(
            nn.Sequential(OrderedDict(representation=difference, backbone=body, consensus=AverageConsensus())),
            clip_spec=replace(spec, frames=frames * (segments or spec.segments)),
            num_classes=num_classes,
            optimization=optimization,
        )
        self.save_hyperparameters()
