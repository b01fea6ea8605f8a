"""Region-based non-local block: regions are compared, not single positions (thesis 4.2.3 and 4.2.4).

Huang and Bors, Region-based Non-local Operation for Video Classification, 2020.
"""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from videozoo.attention.affinity import Affinity, affinity_weights, gather
from videozoo.attention.kernel import Kernel, parse_kernel
from videozoo.attention.non_local import start_as_identity
from videozoo.attention.tokens import grid_of, row_of, to_features, to_tokens
from videozoo.errors import SettingError

Form = Literal["gaussian", "dot", "cosine", "relu"]
Region = Literal["convolution", "average", "maximum"]
AFFINITIES: dict[str, Affinity] = {"gaussian": "softmax", "dot": "dot", "cosine": "relu", "relu": "relu"}


def region_summary(region: Region, channels: int, kernel: tuple[int, int, int]) -> nn.Module:
    """F_theta: every channel's region around a position as one number (equation 4.3).

    A pooled region counts zeros beyond the border in its average, and nothing there in its maximum.
    Shape: (B, C, T, H, W) -> (B, C, T, H, W).
    """
    padding = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    if region == "convolution":
        summary = nn.Conv3d(channels, channels, kernel, padding=padding, groups=channels, bias=False)
        nn.init.xavier_uniform_(summary.weight)
        return summary
    if region == "average":
        return nn.AvgPool3d(kernel, stride=1, padding=padding)
    if region == "maximum":
        return nn.MaxPool3d(kernel, stride=1, padding=padding)
    raise SettingError(f"region {region!r}: allowed are convolution, average, maximum")


class RegionNonLocal(nn.Module):
    """z = x + Wz y, y = w(F(g), F(g)) g, g = Wg x (equations 4.8 and 4.9): one embedding is query, key and value.

    F sums up each channel over a ``kernel`` (frames, rows, columns) around every position. The weights are the softmax
    of the summaries' products (``gaussian``), the products / THW (``dot``), ReLU of the cosine / THW (``cosine``), or
    ReLU of the products / THW (``relu``, in the authors' code); ``unit_length`` divides the summaries by their length
    in the other forms as well. ``subsample`` halves the grid of keys and values by max pooling. No 1 / sqrt(D). The
    batch norm after Wz starts at zero, as in the authors' code: the block is the identity at first.
    Shape: (B, T, C, H, W) -> (B, T, C, H, W).
    """

    def __init__(
        self,
        channels: int,
        *,
        form: Form = "gaussian",
        region: Region = "convolution",
        kernel: Kernel = "3x7x7",
        width: int | None = None,
        subsample: bool = False,
        unit_length: bool = False,
    ) -> None:
        super().__init__()
        if form not in AFFINITIES:
            raise SettingError(f"form {form!r}: allowed are {', '.join(AFFINITIES)}")
        width = width or max(channels // 2, 1)
        self.affinity = AFFINITIES[form]
        self.unit_length = unit_length or form == "cosine"
        self.subsample = subsample
        self.embedding = nn.Conv2d(channels, width, 1)
        self.summary = region_summary(region, width, parse_kernel(kernel))
        self.output = nn.Conv2d(width, channels, 1)
        self.norm = nn.BatchNorm2d(channels)
        start_as_identity(self.output, self.norm)

    def forward(self, features: Tensor) -> Tensor:
        query, key, value = self.compared(features)
        gathered = to_features(self.gather(query, key, value), grid_of(features))
        return features + self.norm(self.output(gathered.flatten(0, 1))).unflatten(0, features.shape[:2])

    def gather(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """The values that every position gathers. Shape: (B, N, D), (B, M, D), (B, M, D) -> (B, N, D)."""
        return gather(query, key, value, self.affinity)

    def weights(self, features: Tensor, position: tuple[int, int, int]) -> Tensor:
        """Where the position (t, y, x) of the features' grid looks. Shape: (B, T, C, H, W) -> (B, T, H', W')."""
        query, key, _ = self.compared(features)
        frames, height, width = grid = grid_of(features)
        seen = affinity_weights(query[:, [row_of(position, grid)]], key, self.affinity).squeeze(1)
        return seen.unflatten(1, (frames, height // 2, width // 2) if self.subsample else grid)

    def compared(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (B, THW, D), keys and values (B, M, D); the queries themselves are the keys unless subsampled."""
        embedded = self.embedding(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        # Channels last is what both the region's convolution and the products are fastest on: one copy for all.
        volume = embedded.permute(0, 1, 3, 4, 2).contiguous().permute(0, 4, 1, 2, 3)
        summary = self.summary(volume)
        if self.unit_length:
            summary = F.normalize(summary, dim=1)
        query = _rows(summary)
        if not self.subsample:
            return query, query, _rows(volume)
        return query, _rows(F.max_pool3d(summary, (1, 2, 2))), _rows(F.max_pool3d(volume, (1, 2, 2)))


def _rows(volume: Tensor) -> Tensor:
    """Shape: (B, C, T, H, W) -> (B, THW, C)."""
    return to_tokens(volume.transpose(1, 2))
