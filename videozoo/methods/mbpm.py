"""MBPM: a backbone that sees moving edges, one frame made of three (thesis, section 5.3)."""

from collections import OrderedDict
from dataclasses import replace

from torch import nn

from videozoo.backbones.create import create_backbone
from videozoo.representations.band_pass import MotionBandPass, Normalisation
from videozoo.temporal.consensus import AverageConsensus
from videozoo.training.optimization import Optimization
from videozoo.training.recognizer import ActionRecognizer

FRAMES = 3  # of a segment, as many as the temporal filter is long


class MBPM(ActionRecognizer):
    """The motion band-pass in front of any backbone, trained with it unless ``trainable`` says otherwise.

    ``segments`` of three consecutive frames (without: as many as the backbone's own frames).

    Shape: (B, S * 3, C, H, W) -> (B, K).
    """

    def __init__(
        self,
        backbone: str,
        num_classes: int,
        *,
        segments: int | None = None,
        sigma: float = 1.1,
        kernel_size: int = 9,
        normalisation: Normalisation = "sum",
        trainable: bool = True,
        shared: bool = False,
        dropout: float | None = None,
        pretrained: str | None = None,
        optimization: Optimization | None = None,
    ) -> None:
        band_pass = MotionBandPass(
            sigma=sigma, kernel_size=kernel_size, normalisation=normalisation, trainable=trainable, shared=shared
        )
        body = create_backbone(backbone, num_classes, dropout=dropout, pretrained=pretrained)
        spec = body.clip_spec.in_snippets(FRAMES)
        super().__init__(
            nn.Sequential(OrderedDict(representation=band_pass, backbone=body, consensus=AverageConsensus())),
            clip_spec=replace(spec, frames=FRAMES * (segments or spec.segments)),
            num_classes=num_classes,
            optimization=optimization,
        )
        self.save_hyperparameters()
