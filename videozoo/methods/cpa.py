"""CPA: one attention map from a pyramid of convolutions over the channels' mean (thesis 4.3 to 4.5)."""

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Literal

from torch import nn

from videozoo.attention import create_attention
from videozoo.attention.convolution_pyramid import PYRAMID, Form
from videozoo.backbones.create import create_backbone
from videozoo.backbones.placement import Places, attention_places
from videozoo.errors import SettingError
from videozoo.temporal.consensus import AverageConsensus
from videozoo.training.optimization import Optimization
from videozoo.training.recognizer import ActionRecognizer

# Section 4.6: the rates of Kinetics.
TRAINING = Optimization(learning_rate=0.01, weight_decay=1e-4)


class CPA(ActionRecognizer):
    """Convolution pyramid attention in a backbone: two blocks in res3, three in res4 (table 4.5).

    ``kernels`` are those of the pyramid (frames x rows x columns), ``form`` is how the map meets the features. With
    ``chain="se"``, added squeeze and excitation comes before each block (section 4.4).
    Shape: (B, T, C, H, W) -> (B, K).
    """

    backbones: ClassVar[tuple[str, ...]] = ("*",)

    def __init__(
        self,
        backbone: str,
        num_classes: int,
        *,
        kernels: Sequence[str] = PYRAMID,
        form: Form = "rescaled",
        places: Places = "five",
        chain: Literal["none", "se"] = "none",
        dropout: float | None = None,
        in_channels: int = 3,
        pretrained: str | None = None,
        optimization: Optimization | None = None,
    ) -> None:
        if chain not in ("none", "se"):
            raise SettingError(f"chain {chain!r}: allowed are none, se")
        body = create_backbone(backbone, num_classes, in_channels=in_channels, dropout=dropout, pretrained=pretrained)
        block = partial(create_attention, "se_cpa" if chain == "se" else "cpa", kernels=kernels, form=form)
        body.attend(attention_places(body, places), block)
        super().__init__(
            nn.Sequential(OrderedDict(backbone=body, consensus=AverageConsensus())),
            clip_spec=body.clip_spec,
            num_classes=num_classes,
            optimization=optimization or TRAINING,
        )
        self.save_hyperparameters()
