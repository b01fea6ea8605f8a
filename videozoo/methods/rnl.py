"""RNL: attention that compares regions of space and time (Huang and Bors; thesis 4.2, 4.4 and 4.5)."""

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import ClassVar, Literal

from torch import nn

from videozoo.attention import create_attention
from videozoo.attention.region_non_local import Form, Region
from videozoo.backbones.create import create_backbone
from videozoo.backbones.placement import Places, attention_places
from videozoo.errors import SettingError
from videozoo.temporal.consensus import AverageConsensus
from videozoo.training.optimization import Optimization
from videozoo.training.recognizer import ActionRecognizer

# Section 4.6: the rates of Kinetics.
TRAINING = Optimization(learning_rate=0.01, weight_decay=1e-4)
CHAINS = ("none", "se", "authors")


class RNL(ActionRecognizer):
    """Region-based non-local blocks in a backbone: two in res3, three in res4, each the identity at first (table 4.1).

    ``kernels`` are the regions (frames x rows x columns) up to res3 and from res4 on: the text says 3x7x7 everywhere,
    its parameter count and the authors' code 3x3x3 in res4. Of the 35.48 million parameters that table 4.6 prints, 7.35
    are each channel-wise kernel stored 31 times more, and its mask: the same function has 28.13. ``chain`` puts channel
    attention before each block: added squeeze and excitation (``se``, section 4.4), or, as in the ``authors``' released
    networks, one global-context gate before the first block only. ``recompute`` leading stages keep only their blocks'
    inputs in training, which takes a quarter off a step's memory for a few percent of its time.
    Shape: (B, T, C, H, W) -> (B, K).
    """

    backbones: ClassVar[tuple[str, ...]] = ("*",)

    def __init__(
        self,
        backbone: str,
        num_classes: int,
        *,
        form: Form = "gaussian",
        region: Region = "convolution",
        kernels: Sequence[str] = ("3x7x7", "3x3x3"),
        subsample: bool = False,
        places: Places = "five",
        chain: Literal["none", "se", "authors"] = "none",
        recompute: int = 1,
        dropout: float | None = None,
        in_channels: int = 3,
        pretrained: str | None = None,
        optimization: Optimization | None = None,
    ) -> None:
        if chain not in CHAINS:
            raise SettingError(f"chain {chain!r}: allowed are {', '.join(CHAINS)}")
        if len(kernels) != 2:
            raise SettingError(f"kernels {kernels!r}: must be two, one up to res3 and one from res4 on")
        body = create_backbone(backbone, num_classes, in_channels=in_channels, dropout=dropout, pretrained=pretrained)
        body.recomputed = recompute
        chosen = attention_places(body, places)
        if chain == "authors":
            first = min(chosen)
            body.attend({first: chosen[first][:1]}, partial(create_attention, "gc", reduction=2, norm="batch"))
        for stage, blocks in chosen.items():
            kernel = kernels[0] if stage <= body.middle_stages[0] else kernels[1]
            block = partial(create_attention, "se_rnl" if chain == "se" else "rnl")
            body.attend({stage: blocks}, partial(block, form=form, region=region, kernel=kernel, subsample=subsample))
        super().__init__(
            nn.Sequential(OrderedDict(backbone=body, consensus=AverageConsensus())),
            clip_spec=body.clip_spec,
            num_classes=num_classes,
            optimization=optimization or TRAINING,
        )
        self.save_hyperparameters()
