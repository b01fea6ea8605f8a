"""Bilinear warping of images along a flow (TVNet, section 4.1, equation 10)."""

from typing import Literal

import torch
from torch import Tensor

Border = Literal["clamp", "zeros", "extrapolate"]


def warp(image: Tensor, flow: Tensor, border: Border = "clamp") -> Tensor:
    """The image seen at every pixel's target: ``image(x + flow(x))``.

    Zero flow gives the image to the last bit, which grid_sample with its normalised grid does not. Outside the frame:

    - clamp: the nearest border pixel.
    - zeros: 0, as equation 10 says.
    - extrapolate: as the authors' program: displacements shrink by (W - 1)/W and (H - 1)/H, left of and above the frame
      is 0, right of and below it the last two pixels are continued linearly.

    Shape: (B, C, H, W), flow (B, 2, H, W) in pixels, x first -> (B, C, H, W).
    """
    height, width = image.shape[-2:]
    columns = torch.arange(width, device=flow.device, dtype=flow.dtype)
    rows = torch.arange(height, device=flow.device, dtype=flow.dtype)[:, None]
    if border == "extrapolate":
        flow = flow * flow.new_tensor([(width - 1) / width, (height - 1) / height]).view(2, 1, 1)
    left, right, weight_left, weight_right = _neighbours(columns + flow[:, 0], width, border)
    above, below, weight_above, weight_below = _neighbours(rows + flow[:, 1], height, border)
    top = _look_up(image, above, left) * weight_left + _look_up(image, above, right) * weight_right
    bottom = _look_up(image, below, left) * weight_left + _look_up(image, below, right) * weight_right
    return top * weight_above + bottom * weight_below


def _neighbours(place: Tensor, size: int, border: Border) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Indices (B, H, W) of the two pixels around a place along one axis, and their weights (B, 1, H, W)."""
    if border == "extrapolate" and size == 1:
        border = "clamp"  # one pixel has no line through it
    if border == "clamp":
        place = place.clamp(0, size - 1)
    floor = place.detach().floor()
    lower, upper = floor, floor + 1
    if border == "extrapolate":
        lower, upper = floor.clamp(0, size - 2), upper.clamp(0, size - 1)
    weight_lower, weight_upper = upper - place, place - lower
    if border == "zeros":
        weight_lower = weight_lower * ((lower >= 0) & (lower < size))
        weight_upper = weight_upper * ((upper >= 0) & (upper < size))
    lower, upper = (index.clamp(0, size - 1).long() for index in (lower, upper))
    return lower, upper, weight_lower[:, None], weight_upper[:, None]


def _look_up(image: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Pixels by index. Shape: (B, C, H, W), indices (B, H, W) -> (B, C, H, W)."""
    index = (row * image.shape[-1] + column).flatten(1)[:, None].expand(-1, image.shape[1], -1)
    return image.flatten(2).gather(2, index).unflatten(2, image.shape[-2:])
