"""TSM: a frame-wise network whose channels are shifted in time (Lin et al., Temporal Shift Module, ICCV 2019)."""

from collections import OrderedDict
from typing import ClassVar

from torch import nn

from videozoo.backbones.create import create_backbone
from videozoo.temporal.consensus import AverageConsensus
from videozoo.training.optimization import Optimization
from videozoo.training.recognizer import ActionRecognizer


class TSM(ActionRecognizer):
    """TSN whose backbone shifts an eighth of its channels each way inside every residual branch (section 3).

    Shape: (B, T, C, H, W) -> (B, K).
    """

    backbones: ClassVar[tuple[str, ...]] = ("tsm_*",)

    def __init__(
        self,
        backbone: str,
        num_classes: int,
        *,
        dropout: float | None = None,
        in_channels: int = 3,
        pretrained: str | None = None,
        optimization: Optimization | None = None,
    ) -> None:
        body = create_backbone(backbone, num_classes, in_channels=in_channels, dropout=dropout, pretrained=pretrained)
        super().__init__(
            nn.Sequential(OrderedDict(backbone=body, consensus=AverageConsensus())),
            clip_spec=body.clip_spec,
            num_classes=num_classes,
            optimization=optimization,
        )
        self.save_hyperparameters()
