"""TeSNet: many frames squeezed to few, at the input or on the way (thesis, sections 3.2 and 3.3)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from videozoo.backbones.base import Backbone
from videozoo.backbones.create import create_backbone
from videozoo.errors import SettingError
from videozoo.representations.temporal_squeeze import Activation, Independence, TemporalSqueeze
from videozoo.temporal.consensus import AverageConsensus
from videozoo.training.optimization import Optimization
from videozoo.training.recognizer import ActionRecognizer

# (place, pictures that leave it): input, stem, or the place after a block, stages and blocks counted from 0.
Placement = tuple[str, int]

# Table 3.2, with the places of Inception-ResNet-v2: Conv2d_1a is its stem, Conv2d_4a stage0_block3, Block A ends at
# stage1_block10, Block B at stage2_block20. Setting 5 then costs 0.90 of setting 1; the thesis' "around 70 %" is what
# stage2_block8 gives, after 8 of the 20 blocks.
SETTINGS: dict[int, tuple[Placement, ...]] = {
    1: (("input", 3),),
    2: (("input", 1),),
    3: (("stem", 3), ("stage0_block3", 1)),
    4: (("stem", 3), ("stage1_block10", 1)),
    5: (("stem", 3), ("stage2_block20", 1)),
}

# Section 3.3.1 but for the schedule, which divides the rate by 10 when accuracy on held-out videos saturates.
TRAINING = Optimization(learning_rate=0.001, weight_decay=4e-5)
FLOW_TRAINING = replace(TRAINING, learning_rate=0.005)
FLOW_CHANNELS, FLOW_MEAN, FLOW_STD = 2, (0.5, 0.5), (0.226, 0.226)  # flow as 8-bit pictures, as in the TSM code


class SqueezingNetwork(nn.Module):
    """A backbone with temporal squeezes at named places; the remaining frames' scores are averaged.

    Shape: (B, S * K, C, H, W) -> (B, classes).
    """

    def __init__(self, squeezes: dict[str, TemporalSqueeze], backbone: Backbone) -> None:
        super().__init__()
        self.squeezes = nn.ModuleDict(squeezes)
        self.backbone = backbone
        self.consensus = AverageConsensus()

    def forward(self, clip: Tensor) -> Tensor:
        features = clip
        for place, part in places_of(self.backbone):
            features = self.backbone.apply_part(part, features)
            if place in self.squeezes:
                features = self.squeezes[place](features)
        return self.consensus(self.backbone.forward_head(features))

    def forward_with_loss(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        """Scores, and the sum of what the squeezes lose."""
        features, losses = clip, []
        for place, part in places_of(self.backbone):
            features = self.backbone.apply_part(part, features)
            if place in self.squeezes:
                squeeze = self.squeezes[place]
                assert isinstance(squeeze, TemporalSqueeze)
                features, loss = squeeze.forward_with_loss(features)
                losses.append(loss)
        return self.consensus(self.backbone.forward_head(features)), torch.stack(losses).sum()


class TeSNet(ActionRecognizer):
    """Temporal Squeeze Network on any backbone.

    ``placements`` is a setting of table 3.2 (1 to 5) or a list of (place, pictures that leave it), the pictures fewer
    at every step. A clip is ``segments`` times ``frames`` consecutive frames; ``beta`` weighs the squeezes' losses.
    With ``modality`` flow it is the temporal stream: two channels a frame.

    Shape: (B, S * K, C, H, W) -> (B, classes).
    """

    def __init__(
        self,
        backbone: str,
        num_classes: int,
        *,
        frames: int = 10,
        segments: int = 1,
        placements: int | Sequence[Placement] = 1,
        activations: tuple[Activation, Activation] = ("sigmoid", "leaky_relu"),
        independence: Independence = "identity",
        beta: float = 10.0,
        modality: Literal["rgb", "flow"] = "rgb",
        dropout: float | None = 0.5,
        pretrained: str | None = None,
        optimization: Optimization | None = None,
    ) -> None:
        if modality not in ("rgb", "flow"):
            raise SettingError(f"modality {modality!r}: must be rgb or flow")
        flow = modality == "flow"
        channels = FLOW_CHANNELS if flow else 3
        body = create_backbone(backbone, num_classes, in_channels=channels, dropout=dropout, pretrained=pretrained)
        squeezes: dict[str, TemporalSqueeze] = {}
        left = frames
        for place, squeezed in ordered(placements, body):
            squeezes[place] = TemporalSqueeze(
                frames=left, squeezed=squeezed, activations=activations, independence=independence
            )
            left = squeezed
        spec = replace(body.clip_spec.in_snippets(frames), frames=frames * segments, modality=modality)
        super().__init__(
            SqueezingNetwork(squeezes, body),
            clip_spec=replace(spec, mean=FLOW_MEAN, std=FLOW_STD) if flow else spec,
            num_classes=num_classes,
            optimization=optimization or (FLOW_TRAINING if flow else TRAINING),
        )
        self.beta = beta
        self.save_hyperparameters()

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Recognition, and beta times what the squeezes lose (equation 3.6; its last term is the weight decay)."""
        assert isinstance(self.network, SqueezingNetwork)
        scores, projection_loss = self.network.forward_with_loss(batch["clip"])
        recognition_loss = self.loss(scores, batch["label"])
        self.log("train/loss", recognition_loss, prog_bar=True, batch_size=len(scores))
        self.log("train/projection_loss", projection_loss, prog_bar=True, batch_size=len(scores))
        return recognition_loss + self.beta * projection_loss


def places_of(backbone: Backbone) -> list[tuple[str, nn.Module]]:
    """Every part of a body in order, with the name of the place after it."""
    return [("input", nn.Identity()), ("stem", backbone.stem), *backbone.blocks()]


def ordered(placements: int | Sequence[Placement], backbone: Backbone) -> list[Placement]:
    """The placements in the order of the body.

    Raises:
        SettingError: when there is no such setting, or the backbone has no such place.
    """
    if isinstance(placements, int):
        if placements not in SETTINGS:
            raise SettingError(f"placements {placements}: must be a setting from 1 to {len(SETTINGS)}, or a list")
        placements = SETTINGS[placements]
    if any(len(pair) != 2 for pair in placements):
        raise SettingError(f"placements {placements}: each must be a place and the pictures that leave it")
    wanted = dict(placements)
    known = [place for place, _ in places_of(backbone)]
    unknown = sorted(set(wanted) - set(known))
    if unknown or not wanted:
        raise SettingError(f"placements {unknown}: this backbone's places are {', '.join(known)}")
    return [(place, wanted[place]) for place in known if place in wanted]
