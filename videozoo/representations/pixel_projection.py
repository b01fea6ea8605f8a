"""Pixel-wise temporal projection: what stays and what moves, told apart at every pixel.

Thesis, section 3.5: PWTP, equations 3.7 to 3.14; the perceptron's configurations in table 3.13.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videozoo.errors import SettingError
from videozoo.representations.precision import full_precision
from videozoo.representations.segments import split_segments


@dataclass(frozen=True)
class Perceptron:
    """Shape of the MLP: bottlenecks of ``ratio`` of the width, how many, and the width in input channels."""

    ratio: float
    blocks: int
    expansion: int


# Table 3.13 of the thesis.
PERCEPTRONS = {
    1: Perceptron(ratio=1 / 4, blocks=1, expansion=4),
    2: Perceptron(ratio=1 / 4, blocks=1, expansion=1),
    3: Perceptron(ratio=1 / 4, blocks=2, expansion=1),
    4: Perceptron(ratio=1 / 4, blocks=2, expansion=4),
    5: Perceptron(ratio=1, blocks=1, expansion=4),
    6: Perceptron(ratio=1 / 4, blocks=0, expansion=4),
    7: Perceptron(ratio=1 / 4, blocks=1, expansion=2),
}
RIDGE = 1e-6  # of a column's squared length: a column that others already span adds nothing instead of noise


class Bottleneck(nn.Module):
    """A residual narrowing of the MLP (figure 3.14). Shape: (N, width) -> same."""

    def __init__(self, width: int, narrow: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.reduce = nn.Linear(width, narrow)
        self.expand = nn.Linear(narrow, width)

    def forward(self, features: Tensor) -> Tensor:
        return features + F.gelu(self.expand(F.gelu(self.reduce(self.norm(features)))))


class PixelProjection(nn.Module):
    """Every pixel's frames, projected on a subspace of time of its own; the mean of what is left is the output.

    A strided convolution looks at each frame, the products of all pairs of frames describe how alike they are here, an
    MLP turns them into the D basis vectors of this place, upsampled to every pixel. The projection holds what the
    frames share (static), its residual what changes (dynamic); the residual's mean over time, the dynamic appearance,
    is one picture a segment. In float32 even under mixed precision.

    Shape: (B, S * T, C, H, W) -> (B, S, C, H, W), with T the frames of a segment.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        frames: int = 8,
        dimension: int = 1,
        kernel_size: int = 9,
        stride: int = 8,
        width: int = 24,
        perceptron: int = 7,
    ) -> None:
        super().__init__()
        if frames < 2 or not 1 <= dimension <= frames:
            raise SettingError(f"frames {frames}, dimension {dimension}: at least 2 frames, dimension from 1 to frames")
        if min(kernel_size, stride, width) < 1:
            raise SettingError(f"kernel_size {kernel_size}, stride {stride}, width {width}: must be at least 1")
        if perceptron not in PERCEPTRONS:
            raise SettingError(f"perceptron {perceptron}: must be one of {', '.join(map(str, PERCEPTRONS))}")
        self.frames_per_segment = frames
        self.out_frames = 1
        self.out_channels = in_channels
        self.dimension = dimension
        self.look = nn.Conv2d(in_channels, width, kernel_size, stride=stride, padding=kernel_size // 2)
        shape, pairs = PERCEPTRONS[perceptron], frames * (frames - 1) // 2
        hidden = pairs * shape.expansion
        narrow = max(1, int(hidden * shape.ratio))
        self.perceptron = nn.Sequential(
            nn.Linear(pairs, hidden),
            nn.GELU(),
            *(Bottleneck(hidden, narrow) for _ in range(shape.blocks)),
            nn.Linear(hidden, frames * dimension),
        )

    def forward(self, clip: Tensor) -> Tensor:
        with full_precision(clip):
            segments, directions = self._segments_and_directions(clip)
            return _dynamic_appearance(segments, directions).to(clip.dtype)

    def forward_with_loss(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        """The dynamic appearance and the energy that the projection loses (ENoPR, equation 3.13).

        Squared, summed over the T frames, averaged over pixels, channels, segments and clips.
        """
        with full_precision(clip):
            segments, directions = self._segments_and_directions(clip)
            loss = (segments - project(segments, directions)).square().sum(dim=2).mean()
            return _dynamic_appearance(segments, directions).to(clip.dtype), loss

    def static(self, clip: Tensor) -> Tensor:
        """The projection itself, every frame's static part (equation 3.7). Shape: (B, S * T, C, H, W) -> same."""
        with full_precision(clip):
            return project(*self._segments_and_directions(clip)).flatten(1, 2).to(clip.dtype)

    def basis(self, segments: Tensor) -> Tensor:
        """The basis of every pixel (equations 3.8 to 3.10). Shape: (B, S, T, C, H, W) -> (B, S, T, D, H, W)."""
        batch, count, frames = segments.shape[:3]
        seen = self.look(segments.flatten(0, 2)).unflatten(0, (batch * count, frames))  # (B * S, T, C', h, w)
        first, second = torch.triu_indices(frames, frames, offset=1, device=seen.device)
        likeness = (seen[:, first] * seen[:, second]).mean(dim=2)  # (B * S, T (T - 1) / 2, h, w)
        described = self.perceptron(likeness.permute(0, 2, 3, 1).flatten(0, 2))
        grid = described.unflatten(0, (batch * count, *likeness.shape[-2:])).permute(0, 3, 1, 2)
        if grid.shape[-2:] != segments.shape[-2:]:
            grid = F.interpolate(grid, size=segments.shape[-2:], mode="bilinear", align_corners=False)
        return grid.unflatten(1, (frames, self.dimension)).unflatten(0, (batch, count))

    def _segments_and_directions(self, clip: Tensor) -> tuple[Tensor, list[Tensor]]:
        segments = split_segments(clip, self.frames_per_segment)
        segments = segments.to(torch.promote_types(clip.dtype, torch.float32))
        return segments, orthonormal(self.basis(segments))


def orthonormal(basis: Tensor, *, ridge: float = RIDGE) -> list[Tensor]:
    """Orthonormal directions that span the basis' columns, pixel by pixel, by the Gram-Schmidt rule.

    Closed form for every D: no system is solved at a pixel. Shape: (B, S, T, D, H, W) -> D tensors (B, S, T, H, W).
    """
    directions: list[Tensor] = []
    for column in basis.unbind(dim=3):
        rest = column
        for direction in directions:
            rest = rest - direction * (direction * rest).sum(dim=2, keepdim=True)
        floor = ridge * column.square().sum(dim=2, keepdim=True) + torch.finfo(column.dtype).tiny
        directions.append(rest * (rest.square().sum(dim=2, keepdim=True) + floor).rsqrt())
    return directions


def project(segments: Tensor, directions: list[Tensor]) -> Tensor:
    """Orthogonal projection of every pixel's frames on the directions. Shape: (B, S, T, C, H, W) -> same."""
    static = torch.zeros_like(segments)
    for direction in directions:
        direction = direction.unsqueeze(3)
        static = static + direction * (direction * segments).sum(dim=2, keepdim=True)
    return static


def appearance_weights(directions: list[Tensor]) -> Tensor:
    """The weight of every frame in the dynamic appearance: the residual of a vector of ones, over T.

    The mean over time of x - P x is the sum of w_t x_t with w = (I - P) 1 / T, P being symmetric: one weighted sum in
    place of T residual frames. Shape: D tensors (B, S, T, H, W) -> (B, S, T, H, W).
    """
    rest = torch.ones_like(directions[0])
    for direction in directions:
        rest = rest - direction * direction.sum(dim=2, keepdim=True)
    return rest / rest.shape[2]


def _dynamic_appearance(segments: Tensor, directions: list[Tensor]) -> Tensor:
    """Shape: (B, S, T, C, H, W), D tensors (B, S, T, H, W) -> (B, S, C, H, W)."""
    weights = appearance_weights(directions).unsqueeze(3).unbind(dim=2)
    frames = segments.unbind(dim=2)
    appearance = frames[0] * weights[0]
    for frame, weight in zip(frames[1:], weights[1:], strict=True):
        appearance = appearance.addcmul_(frame, weight)
    return appearance
