"""Fusion: one answer from two pathways (thesis, section 5.5.3, table 5.4)."""

from typing import Literal

import torch
from torch import Tensor, nn

from videozoo.backbones.base import Backbone
from videozoo.backbones.heads import new_classifier
from videozoo.errors import SettingError

Kind = Literal["average", "average_before", "max", "concatenation"]
KINDS = ("average", "average_before", "max", "concatenation")


class PathwayFusion(nn.Module):
    """The classifiers of two pathways and how their answers become one.

    average and max fuse the scores; average_before and concatenation fuse the features that one classifier then sees.
    With a shared classifier, average and average_before are the same function where no dropout comes between.

    Shape: features (B, T, D) twice -> (B, T, K).
    """

    def __init__(self, kind: Kind, busy: nn.Linear, quiet: nn.Linear, *, shared: bool) -> None:
        super().__init__()
        if kind not in KINDS:
            raise SettingError(f"fusion {kind!r}: must be one of {', '.join(KINDS)}")
        self.kind = kind
        if kind == "concatenation":
            busy = new_classifier(2 * busy.in_features, busy.out_features)
        single = shared or kind in ("concatenation", "average_before")
        self.classifiers = nn.ModuleList([busy] if single else [busy, quiet])

    def forward(self, busy: Tensor, quiet: Tensor) -> Tensor:
        if self.kind == "concatenation":
            return self.classifiers[0](torch.cat([busy, quiet], dim=-1))
        if self.kind == "average_before":
            return self.classifiers[0]((busy + quiet) / 2)
        scores = self.classifiers[0](busy), self.classifiers[-1](quiet)
        return torch.maximum(*scores) if self.kind == "max" else (scores[0] + scores[1]) / 2


def take_classifier(backbone: Backbone) -> nn.Linear:
    """Take the classifier out of a backbone: ``forward`` then gives the features that it saw, dropout included.

    Shape of the backbone afterwards: (B, T, C, H, W) -> (B, T', D).
    """
    classifier = backbone.classifier
    backbone.head.classifier = nn.Identity()
    return classifier
