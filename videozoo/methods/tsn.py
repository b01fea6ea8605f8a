"""TSN: one answer from sparse snippets of the whole video (Wang et al., Temporal Segment Networks, ECCV 2016)."""

from collections import OrderedDict
from typing import ClassVar

from torch import nn

from videozoo.backbones.create import create_backbone
from videozoo.representations.stacked_fields import StackedFields, flow_spec
from videozoo.temporal.consensus import AverageConsensus
from videozoo.training.optimization import Optimization
from videozoo.training.recognizer import ActionRecognizer

RGB = 3  # channels; any other number is that of stacked flow


class TSN(ActionRecognizer):
    """Frame-wise network on one frame of each segment; the frames' scores are averaged (section 3.1, equation 1).

    With ``in_channels`` 2 * F it is the flow stream, on F stored fields of every segment.
    Shape: (B, T, C, H, W) -> (B, K).
    """

    backbones: ClassVar[tuple[str, ...]] = ("tsn_*", "bn_inception", "inception_resnet_v2")

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
        rgb = in_channels == RGB
        fields = OrderedDict() if rgb else OrderedDict(representation=StackedFields(in_channels))
        super().__init__(
            nn.Sequential(OrderedDict(**fields, backbone=body, consensus=AverageConsensus())),
            clip_spec=body.clip_spec if rgb else flow_spec(body.clip_spec, in_channels),
            num_classes=num_classes,
            optimization=optimization,
        )
        self.save_hyperparameters()
