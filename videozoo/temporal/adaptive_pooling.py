"""Deep adaptive temporal pooling: how much each segment of a video counts, learned (DATP, section 3.2, table 2)."""

from collections import OrderedDict
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from videozoo.errors import SettingError
from videozoo.temporal.segment_weights import DiscreteWeights, GaussianWeights, Generator, stretch

Source = Literal["sequence", "maps"]
CHANNELS = 32


def weighted_pool(values: Tensor, weights: Tensor) -> Tensor:
    """Sum of weighted values over the Euclidean norm of the weights (equation 3). Shape: (B, T, D), (B, T) -> (B, D).

    The pooled values are the same for all positive multiples of the weights; very small ones are enlarged first, so
    that their squares are no zeros.
    """
    largest = weights.detach().abs().amax(dim=1, keepdim=True)
    unit = F.normalize(weights / largest.where(largest > 0, 1.0), dim=1)
    return (values * unit.unsqueeze(-1)).sum(dim=1)


class SequenceReader(nn.Module):
    """Table 2, left: over time, each entry of a segment's vector alone; then all entries together.

    Shape: (B, T, D) -> (B, 32, T).
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(1, CHANNELS, (3, 1), padding=(1, 0)),
                relu1=nn.ReLU(),
                conv2=nn.Conv2d(CHANNELS, CHANNELS, (3, features), padding=(1, 0)),
                relu2=nn.ReLU(),
            )
        )

    def forward(self, sequence: Tensor) -> Tensor:
        return self.layers(sequence.unsqueeze(1)).squeeze(-1)


class MapReader(nn.Module):
    """Table 2, right: each segment's map becomes a vector, then two convolutions over time.

    Maps of another size than ``grid`` are averaged to it first. Shape: (B, T, C, H, W) -> (B, 32, T).
    """

    def __init__(self, channels: int, *, grid: int) -> None:
        super().__init__()
        self.grid = grid
        self.collapse = nn.Conv2d(channels, 2 * CHANNELS, grid)
        self.layers = nn.Sequential(
            OrderedDict(
                relu1=nn.ReLU(),
                conv2=nn.Conv1d(2 * CHANNELS, CHANNELS, 3, padding=1),
                relu2=nn.ReLU(),
                conv3=nn.Conv1d(CHANNELS, CHANNELS, 3, padding=1),
                relu3=nn.ReLU(),
            )
        )

    def forward(self, maps: Tensor) -> Tensor:
        images = maps.flatten(0, 1)
        if images.shape[-2:] != (self.grid, self.grid):
            images = F.adaptive_avg_pool2d(images, self.grid)
        vectors = self.collapse(images).flatten(1).unflatten(0, maps.shape[:2])  # (B, T, 64)
        return self.layers(vectors.transpose(1, 2))


class AdaptivePooling(nn.Module):
    """Pool what segments say by weights that a small network reads from their features.

    ``source`` "sequence" takes vectors (B, T, D), scores or hand-made features alike; "maps" takes (B, T, D, H, W).
    Without features the pooled values themselves are read. ``layers`` fully connected ones follow, sized for
    ``segments``; other numbers of segments are resampled. All videos start with the same weights: the last layer
    starts at zero but for its bias.
    Shape: (B, T, K), features -> (B, K).
    """

    def __init__(
        self,
        features: int,
        *,
        segments: int = 10,
        source: Source = "sequence",
        generator: Generator = "mixture",
        gaussians: int = 2,
        layers: int = 2,
        hidden: int = 64,
        grid: int = 7,
    ) -> None:
        super().__init__()
        _check(source, generator, layers, segments)
        if hidden < 1 or grid < 1:
            raise SettingError(f"hidden {hidden}, grid {grid}: must be at least 1")
        self.segments = segments
        self.reader = SequenceReader(features) if source == "sequence" else MapReader(features, grid=grid)
        self.generator = GaussianWeights(gaussians) if generator == "mixture" else DiscreteWeights(segments)
        widths = [CHANNELS * segments, *[hidden] * (layers - 1)]
        self.regress = nn.Sequential()
        for before, after in pairwise(widths):
            self.regress.extend([nn.Linear(before, after), nn.ReLU()])
        last = nn.Linear(widths[-1], self.generator.numbers)
        nn.init.zeros_(last.weight)
        last.bias.data.copy_(self.generator.start())
        self.regress.append(last)

    def weights(self, features: Tensor) -> Tensor:
        """How much each segment counts, before normalisation. Shape: (B, T, D) or (B, T, D, H, W) -> (B, T)."""
        numbers = self.regress(stretch(self.reader(features), self.segments).flatten(1))
        return self.generator(numbers.float() if numbers.dtype.itemsize < 4 else numbers, features.shape[1])

    def forward(self, values: Tensor, features: Tensor | None = None) -> Tensor:
        return weighted_pool(values, self.weights(values if features is None else features))


def _check(source: Source, generator: Generator, layers: int, segments: int) -> None:
    if source not in ("sequence", "maps"):
        raise SettingError(f"source {source!r}: must be sequence or maps")
    if generator not in ("mixture", "discrete"):
        raise SettingError(f"generator {generator!r}: must be mixture or discrete")
    if layers < 1 or segments < 1:
        raise SettingError(f"layers {layers}, segments {segments}: must be at least 1")
