"""PBNet: many snippets watched, few learned from (Huang et al., Principal Backpropagation Networks)."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from videozoo.backbones.base import Backbone
from videozoo.backbones.create import create_backbone
from videozoo.backbones.multi_length import MultiLengthConvolution, take_first_convolution
from videozoo.clip_spec import ClipSpec, Views
from videozoo.errors import SettingError
from videozoo.temporal.snippet_pooling import Pooling, SnippetPooling
from videozoo.training.optimization import Optimization
from videozoo.training.principal_backpropagation import (
    Candidates,
    PrincipalBackpropagation,
    Rule,
    WatchPrecision,
    cross_entropies,
    take_snippets,
)
from videozoo.training.recognizer import ActionRecognizer

# Section V-A on UCF101, whose 9537 videos are 75 steps of 128: 1500 steps are 20 epochs, 5000 are 67; for flow 10000,
# 16000 and 18000 steps are 134, 215 and 242.
TRAINING = Optimization(learning_rate=0.001, schedule="step", milestones=(20, 40, 60))
FLOW_TRAINING = Optimization(learning_rate=0.005, schedule="step", milestones=(134, 215))
TEST_SNIPPETS = 25


class SnippetNetwork(nn.Module):
    """Snippets of a video one by one through a backbone, their scores pooled.

    A snippet of ``frames`` consecutive frames is a clip of its own. Flow snippets have fields of one or several
    ``lengths`` stacked as channels; a video is then judged by all lengths, and learned from with one of them.
    Shape: (B, m * F, C, H, W) -> (B, K).
    """

    def __init__(self, backbone: Backbone, consensus: SnippetPooling, *, frames: int, lengths: Sequence[int]) -> None:
        super().__init__()
        self.frames = frames
        self.lengths = tuple(lengths)
        self.first = MultiLengthConvolution(take_first_convolution(backbone), lengths) if lengths else None
        self.backbone = backbone
        self.consensus = consensus

    def forward(self, clip: Tensor) -> Tensor:
        snippets = self.split(clip)
        kinds = [torch.full((clip.shape[0],), kind, device=clip.device) for kind in range(max(len(self.lengths), 1))]
        answers = [self.consensus(self.score(snippets, kind)) for kind in kinds]
        return torch.stack(answers).mean(dim=0)

    def split(self, clip: Tensor) -> Tensor:
        """Snippets apart. Shape: (B, m * F, C, H, W) -> (B, m, F, C, H, W)."""
        return clip.unflatten(1, (-1, self.frames))

    def score(self, snippets: Tensor, kinds: Tensor) -> Tensor:
        """Scores of every snippet, ``kinds`` saying which length a video's have.

        Shape: (B, m, F, C, H, W), (B,) -> (B, m, K).
        """
        clips = snippets.flatten(0, 1)
        if self.first is not None:
            clips = self.first(clips, kinds.repeat_interleave(snippets.shape[1])).unsqueeze(1)
        return self.backbone(clips).mean(dim=1).unflatten(0, snippets.shape[:2])

    def training_kinds(self, clip: Tensor, step: int) -> Tensor:
        """Half a batch of each length, in turn what cannot be halved. Shape: (B, ...) -> (B,)."""
        kinds = max(len(self.lengths), 1)
        return (torch.arange(len(clip), device=clip.device) * kinds // len(clip) + step) % kinds


class PBNet(ActionRecognizer):
    """Watch ``snippets`` of a video, choose some by a rule, learn from these alone (section III-B).

    The paper's rules are ``kl`` for RGB and ``max`` for flow; ``rule="full"`` is the plain network on all snippets.
    ``flow_lengths`` (5, 10) make it the flow stream, with so many fields a snippet. ``snippet_frames`` consecutive
    frames give a backbone that relates frames something to relate. ``pooling``, ``weights``, ``candidates``,
    ``number``, ``watch_videos`` and ``watch_precision`` as in SnippetPooling and PrincipalBackpropagation.

    Shape: (B, m * F, C, H, W) -> (B, K).
    """

    def __init__(
        self,
        backbone: str,
        num_classes: int,
        *,
        snippets: int = 6,
        chosen: int = 3,
        rule: Rule | None = None,
        candidates: Candidates = "auto",
        number: int = 100,
        pooling: Pooling = "mean",
        weights: Sequence[float] | None = None,
        snippet_frames: int = 1,
        flow_lengths: Sequence[int] = (),
        watch_videos: int | None = None,
        watch_precision: WatchPrecision = "same",
        multilabel: bool = False,
        dropout: float | None = None,
        pretrained: str | None = None,
        optimization: Optimization | None = None,
    ) -> None:
        check_snippets(snippet_frames, flow_lengths)
        strategy = PrincipalBackpropagation(
            chosen, rule or ("max" if flow_lengths else "kl"), candidates, number, watch_videos, watch_precision
        )
        strategy.check(snippets)
        body = create_backbone(backbone, num_classes, dropout=dropout, pretrained=pretrained)
        frames = max(flow_lengths, default=snippet_frames)
        spec = snippet_spec(body.clip_spec, snippets, frames)
        super().__init__(
            SnippetNetwork(body, SnippetPooling(pooling, weights), frames=frames, lengths=flow_lengths),
            clip_spec=spec.of_flow() if flow_lengths else spec,
            num_classes=num_classes,
            multilabel=multilabel,
            optimization=optimization or (FLOW_TRAINING if flow_lengths else TRAINING),
        )
        self.strategy = strategy
        self.save_hyperparameters()

    def loss(self, scores: Tensor, label: Tensor) -> Tensor:
        """Softmax cross-entropy; a video with two labels counts for both, as if it were there twice (section V-G)."""
        return cross_entropies(scores.unsqueeze(1), label).mean()

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Watch, choose, then the loss of the chosen snippets (section IV-A, figure 3)."""
        network: Any = self.network
        clip, label = batch["clip"], batch["label"]
        snippets, kinds = network.split(clip), network.training_kinds(clip, batch_idx)
        count, chosen = snippets.shape[1], None
        if self.strategy.watches(count):
            watched = self.strategy.watch(network, network.score, snippets, kinds)
            chosen = self.strategy.choose(watched, label, network.consensus, self._generator(batch_idx))
            snippets = take_snippets(snippets, chosen)
            self.log("train/full_loss", self.loss(network.consensus(watched), label), batch_size=len(label))
        scores = network.score(snippets, kinds)
        loss = self.loss(network.consensus(scores, chosen, count), label)
        self.log("train/loss", loss, prog_bar=True, batch_size=len(label))
        return loss

    def _generator(self, batch_idx: int) -> torch.Generator:
        """Draws that depend on the epoch, the batch and the process alone: a resumed run makes the same ones."""
        step = self.current_epoch * 1_000_003 + batch_idx
        return torch.Generator().manual_seed(step * 1_009 + self.global_rank)


def check_snippets(frames: int, flow_lengths: Sequence[int]) -> None:
    """Say what is wrong with the lengths of snippets.

    Raises:
        SettingError: when one is not positive, or both kinds are given.
    """
    if frames < 1 or any(length < 1 for length in flow_lengths):
        raise SettingError(f"snippet_frames {frames}, flow_lengths {tuple(flow_lengths)}: must be at least 1")
    if flow_lengths and frames != 1:
        raise SettingError(f"snippet_frames {frames}: flow_lengths {tuple(flow_lengths)} already say it")


def snippet_spec(spec: ClipSpec, snippets: int, frames: int) -> ClipSpec:
    """One random snippet of each of the segments; tested on 25 snippets x 10 crops whose scores are averaged (IV-B)."""
    return replace(
        spec,
        frames=snippets * frames,
        frames_per_segment=frames,
        sampling="uniform",
        stride=1,
        views=Views(crops=10, frames=TEST_SNIPPETS * frames),
    )
