"""GC: channels changed by one summary of the whole clip (Cao et al., GCNet, ICCV workshop 2019)."""

from collections import OrderedDict
from functools import partial
from typing import ClassVar

from torch import nn

from videozoo.attention import create_attention
from videozoo.backbones.create import create_backbone
from videozoo.backbones.placement import Places, attention_places
from videozoo.temporal.consensus import AverageConsensus
from videozoo.training.optimization import Optimization
from videozoo.training.recognizer import ActionRecognizer

# Trained like the blocks that it is compared with (thesis, section 4.6).
TRAINING = Optimization(learning_rate=0.01, weight_decay=1e-4)


class GC(ActionRecognizer):
    """Global-context blocks in a backbone, five, where the thesis has RNL (table 4.6); each the identity at first.

    Shape: (B, T, C, H, W) -> (B, K).
    """

    backbones: ClassVar[tuple[str, ...]] = ("*",)

    def __init__(
        self,
        backbone: str,
        num_classes: int,
        *,
        reduction: int = 16,
        places: Places = "five",
        dropout: float | None = None,
        in_channels: int = 3,
        pretrained: str | None = None,
        optimization: Optimization | None = None,
    ) -> None:
        body = create_backbone(backbone, num_classes, in_channels=in_channels, dropout=dropout, pretrained=pretrained)
        body.attend(attention_places(body, places), partial(create_attention, "gc", reduction=reduction))
        super().__init__(
            nn.Sequential(OrderedDict(backbone=body, consensus=AverageConsensus())),
            clip_spec=body.clip_spec,
            num_classes=num_classes,
            optimization=optimization or TRAINING,
        )
        self.save_hyperparameters()
