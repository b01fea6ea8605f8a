"""Sizes and resampling of the coarse-to-fine scheme, as the TVNet authors' program has them."""

import math

from torch import Tensor
from torch.nn import functional as F

SMALLEST_DIAGONAL = 4  # pixels; a coarser scale would show nothing


def size_at(image: Tensor, scale: int, zoom: float) -> tuple[int, int]:
    """Height and width ``scale`` steps down from the size of an image (..., H, W)."""
    height, width = (max(1, int(length * zoom**scale + 0.5)) for length in image.shape[-2:])
    return height, width


def useful_scales(image: Tensor, scales: int, zoom: float) -> int:
    """At most ``scales``, fewer where the coarsest would fall below the smallest diagonal."""
    diagonal = max(math.hypot(*image.shape[-2:]), SMALLEST_DIAGONAL)
    return min(scales, 1 + int(math.log(diagonal / SMALLEST_DIAGONAL) / math.log(1 / zoom)))


def resample(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear sampling on a grid that keeps the corners, without low-pass.

    Shape: (B, C, H, W) -> ``(B, C, *size)``.
    """
    if image.shape[-2:] == size:
        return image
    return F.interpolate(image, size=size, mode="bilinear", align_corners=True)
