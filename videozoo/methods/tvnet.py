"""TVNet: optical flow as the first layers of an action network, trained with it (Fan et al., End-to-End Learning)."""

from collections import OrderedDict
from dataclasses import replace

from torch import Tensor, nn

from videozoo.backbones.create import create_backbone
from videozoo.clip_spec import ClipSpec, Views
from videozoo.representations.flow_scale import FlowScale
from videozoo.representations.tvnet import TVNet as FlowLayers
from videozoo.representations.tvnet_options import Trainable, TVNetOptions
from videozoo.representations.warping import Border
from videozoo.temporal.consensus import AverageConsensus
from videozoo.training.optimization import Optimization
from videozoo.training.recognizer import ActionRecognizer

# Section 5.2 on UCF101, whose 9537 videos are 75 steps of 128: 10000, 16000 and 18000 steps are 134, 215, 242 epochs.
TRAINING = Optimization(learning_rate=0.005, schedule="step", milestones=(134, 215))
TEST_STACKS = 25


class TVNet(ActionRecognizer):
    """TVNet-``scales``-``warps``-``iterations`` in front of any backbone: a stack of ``flows`` fields a segment.

    The loss of training is that of recognition plus ``flow_loss`` times the flow's own energy (equation 13); 0 leaves
    it out. ``trainable``, ``border``, ``shared_filters``, ``checkpoint_every`` are the flow layers', which learn 255
    times more slowly than the rest, whatever the parameter groups (section 5.2). Clips are RGB in 0..255. The
    backbone's first convolution takes 2 x ``flows`` channels, averaged from RGB weights.

    Shape: (B, S * (flows + 1), 3, H, W) -> (B, K).
    """

    def __init__(
        self,
        backbone: str,
        num_classes: int,
        *,
        segments: int = 3,
        flows: int = 5,
        scales: int = 1,
        warps: int = 1,
        iterations: int = 50,
        trainable: Trainable = "all",
        flow_loss: float = 0.1,
        border: Border = "clamp",
        shared_filters: bool = False,
        checkpoint_every: int | None = None,
        dropout: float | None = None,
        pretrained: str | None = None,
        optimization: Optimization | None = None,
    ) -> None:
        body = create_backbone(backbone, num_classes, in_channels=2 * flows, dropout=dropout, pretrained=pretrained)
        size = body.clip_spec.size
        options = TVNetOptions(
            shared_filters=shared_filters, reference_size=(size, size), checkpoint_every=checkpoint_every
        )
        layers = FlowLayers(scales, warps, iterations, trainable=trainable, flows=flows, border=border, options=options)
        super().__init__(
            nn.Sequential(
                OrderedDict(representation=layers, scale=FlowScale(), backbone=body, consensus=AverageConsensus())
            ),
            clip_spec=flow_clip_spec(body.clip_spec, segments, flows + 1),
            num_classes=num_classes,
            optimization=optimization or TRAINING,
        )
        self.flow_loss = flow_loss
        self.save_hyperparameters()

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Recognition and flow (equation 13)."""
        scores, flow_loss = self.forward_with_loss(batch["clip"])
        loss = self.loss(scores, batch["label"])
        self.log("train/loss", loss, prog_bar=True, batch_size=len(scores))
        self.log("train/flow_loss", flow_loss, batch_size=len(scores))
        return loss + self.flow_loss * flow_loss if self.flow_loss else loss

    def forward_with_loss(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (B, K) and the flow loss, a scalar."""
        assert isinstance(self.network, nn.Sequential)
        stacks, flow_loss = self.flow_layers.forward_with_loss(clip)
        return self.network[1:](stacks), flow_loss

    @property
    def flow_layers(self) -> FlowLayers:
        """The part that turns frames into flow in pixels."""
        layers = self.network.get_submodule("representation")
        assert isinstance(layers, FlowLayers)
        return layers


def flow_clip_spec(spec: ClipSpec, segments: int, frames: int) -> ClipSpec:
    """Snippets of consecutive RGB frames as pixels 0..255; tested on 25 snippets x 10 crops, scores averaged (5.2)."""
    return replace(
        spec.in_snippets(frames),
        frames=segments * frames,
        value_range=255,
        channel_order="rgb",
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        views=Views(crops=10, frames=TEST_STACKS * frames),
    )
