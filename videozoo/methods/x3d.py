"""X3D: small volume-wise networks (Feichtenhofer, X3D: Expanding Architectures, CVPR 2020)."""

from collections import OrderedDict
from typing import ClassVar

from torch import nn

from videozoo.backbones.create import create_backbone
from videozoo.temporal.consensus import AverageConsensus
from videozoo.training.optimization import Optimization
from videozoo.training.recognizer import ActionRecognizer

# Section 4.1: rate 1.6 for 1024 clips a step is 0.1 for 64; cosine, weight decay 5e-5. Warm-up as a recipe sets it.
TRAINING = Optimization(learning_rate=0.1, weight_decay=5e-5, nesterov=True)


class X3D(ActionRecognizer):
    """Volume-wise network; several scores in time, on clips longer than its window, are averaged.

    Shape: (B, T, C, H, W) -> (B, K).
    """

    backbones: ClassVar[tuple[str, ...]] = ("x3d_*",)

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
            optimization=optimization or TRAINING,
        )
        self.save_hyperparameters()
