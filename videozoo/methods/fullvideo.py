"""Full video: every frame through the first stage, similar neighbours merged (Liu et al., No frame left behind)."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor, nn

from videozoo.backbones.base import Backbone
from videozoo.backbones.create import create_backbone
from videozoo.backbones.recompute import recompute
from videozoo.backbones.residual import take_activation
from videozoo.clip_spec import Views
from videozoo.errors import SettingError
from videozoo.temporal.clustering import Grouping, TemporalClustering, unrepeated_lengths
from videozoo.temporal.consensus import AverageConsensus
from videozoo.training.optimization import Optimization
from videozoo.training.recognizer import ActionRecognizer

Padding = Literal["ignore", "count"]
Averaged = Literal["outputs", "sums"]


class ClusteringNetwork(nn.Module):
    """A backbone that sees all frames up to a stage, and their clusters from there on.

    ``place`` counts the stages before clustering; 0 is after the stem. With ``recompute_frames`` these parts keep only
    their blocks' inputs in training. Repeated last frames do not weigh, unless ``count_padding``. With
    ``average_sums``, clusters are averaged before the ReLU that ends the last of these parts, not after it.
    Shape: (B, T, C, H, W) -> (B, K).
    """

    def __init__(
        self,
        backbone: Backbone,
        clustering: TemporalClustering,
        *,
        place: int,
        recompute_frames: bool,
        count_padding: bool,
        average_sums: bool,
    ) -> None:
        super().__init__()
        self.place = place
        self.recompute_frames = recompute_frames
        self.count_padding = count_padding
        self.backbone = backbone
        self.clustering = clustering
        self.activation = take_activation(list(self.frame_parts())[-1]) if average_sums else nn.Identity()
        self.consensus = AverageConsensus()

    def forward(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        clusters = self.activation(self.clustering(self.frame_features(clip), self.real_lengths(clip, lengths)))
        for stage in self.backbone.stages[self.place :]:
            for block in stage.children():
                clusters = self.backbone.apply_part(block, clusters)
        return self.consensus(self.backbone.forward_head(clusters))

    def frame_features(self, clip: Tensor) -> Tensor:
        """What is clustered. Shape: (B, T, C, H, W) -> (B, T, C', H', W')."""
        features = clip
        for part in self.frame_parts():
            features = recompute(part, features) if self.recompute_frames else part(features)
        return features

    def frame_parts(self) -> Iterator[nn.Module]:
        """The stem, and the blocks that see all frames."""
        yield self.backbone.stem
        for stage in self.backbone.stages[: self.place]:
            yield from stage.children()

    def assign(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The cluster of every frame, for display. Shape: (B, T, C, H, W) -> (B, T)."""
        return self.clustering.assign(self.frame_features(clip), self.real_lengths(clip, lengths))

    def real_lengths(self, clip: Tensor, lengths: Tensor | None) -> Tensor | None:
        """How many frames weigh, where not all do. Shape: (B, T, C, H, W) -> (B,)."""
        if self.count_padding or lengths is not None:
            return lengths
        return unrepeated_lengths(clip)


class FullVideo(ActionRecognizer):
    """All frames of a video at the price of ``clusters`` (section 3.3), on any backbone with stages.

    ``grouping`` is cumulative, slope or uniform. The text's first block is the stem and the whole first stage, as its
    multiply-adds tell: ``place`` 1. ``recompute`` takes the memory of these parts for a fifth more time. ``padding``:
    frames that repeat the last one do not weigh, or ``count`` as they do in the paper. ``average`` the stage's
    ``outputs``, as figure 2 shows, or the ``sums`` before its last ReLU, as section 3.2 has it; where the frames of a
    cluster agree on what is active, as they are grouped to do, both are the same. Videos longer than ``frames``
    keep all of theirs with ``sampling`` all, a random frame of each of so many segments with uniform, which is what
    batches need.

    Shape: (B, T, C, H, W) -> (B, K).
    """

    def __init__(
        self,
        backbone: str,
        num_classes: int,
        *,
        clusters: int = 8,
        grouping: Grouping = "cumulative",
        place: int = 1,
        frames: int = 32,
        sampling: Literal["all", "uniform"] = "uniform",
        recompute: bool = True,
        padding: Padding = "ignore",
        average: Averaged = "outputs",
        in_channels: int = 3,
        dropout: float | None = None,
        pretrained: str | None = None,
        optimization: Optimization | None = None,
    ) -> None:
        if padding not in ("ignore", "count"):
            raise SettingError(f"padding {padding!r}: must be ignore or count")
        if average not in ("outputs", "sums"):
            raise SettingError(f"average {average!r}: must be outputs or sums")
        if sampling not in ("all", "uniform"):
            raise SettingError(f"sampling {sampling!r}: must be all or uniform")
        body = create_backbone(backbone, num_classes, in_channels=in_channels, dropout=dropout, pretrained=pretrained)
        if not 0 <= place <= len(body.stages):
            raise SettingError(f"place {place}: must be from 0, after the stem, to {len(body.stages)}, the last stage")
        body.pool_whole_clip()  # whatever number of frames is left
        spec = body.clip_spec
        super().__init__(
            ClusteringNetwork(
                body,
                TemporalClustering(clusters, grouping),
                place=place,
                recompute_frames=recompute,
                count_padding=padding == "count",
                average_sums=average == "sums",
            ),
            clip_spec=replace(
                spec,
                frames=frames,
                sampling=sampling,
                stride=1,
                views=Views(average=spec.views.average, size=spec.resize),  # the whole short side, one clip
            ),
            num_classes=num_classes,
            optimization=optimization,
        )
        self.save_hyperparameters()

    @torch.no_grad()
    def assign(self, clip: Tensor) -> Tensor:
        """The cluster of every frame. Shape: (B, T, C, H, W) -> (B, T)."""
        assert isinstance(self.network, ClusteringNetwork)
        return self.network.assign(clip)
