"""Heads of frame-wise networks: features of every frame to scores of every frame."""

from torch import Tensor, nn


class FrameHead(nn.Module):
    """Global average over space, dropout, then the linear classifier of TSN and TSM.

    Shape: (B, T, C, H, W) -> (B, T, K). ``pool`` gives the features (B, T, C) that the classifier sees.
    """

    def __init__(self, num_features: int, num_classes: int, *, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classifier = new_classifier(num_features, num_classes)

    def pool(self, features: Tensor) -> Tensor:
        """Mean over space. Shape: (B, T, C, H, W) -> (B, T, C)."""
        return features.mean(dim=(-2, -1))

    def forward(self, features: Tensor) -> Tensor:
        return self.classifier(self.dropout(self.pool(features)))


def new_classifier(num_features: int, num_classes: int) -> nn.Linear:
    """A fresh classifier: weights N(0, 0.001), no bias at the start, as in the TSN and TSM code."""
    classifier = nn.Linear(num_features, num_classes)
    nn.init.normal_(classifier.weight, std=0.001)
    nn.init.zeros_(classifier.bias)
    return classifier
