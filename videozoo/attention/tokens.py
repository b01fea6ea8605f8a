"""Features as one row of positions a clip and back: what products between positions want."""

from torch import Tensor


def to_tokens(features: Tensor) -> Tensor:
    """Shape: (B, T, C, H, W) -> (B, THW, C); a view where the channels come last in memory."""
    return features.permute(0, 1, 3, 4, 2).flatten(1, 3)


def to_features(tokens: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """Shape: (B, THW, C) and the grid (T, H, W) -> (B, T, C, H, W), a view."""
    return tokens.unflatten(1, grid).permute(0, 1, 4, 2, 3)


def grid_of(features: Tensor) -> tuple[int, int, int]:
    """Frames, rows and columns of features (B, T, C, H, W)."""
    frames, _, height, width = features.shape[1:]
    return frames, height, width


def row_of(position: tuple[int, int, int], grid: tuple[int, int, int]) -> int:
    """Where the token of the position (t, y, x) stands among the THW tokens of a grid."""
    return (position[0] * grid[1] + position[1]) * grid[2] + position[2]
