"""Optical flow as 8-bit pictures: linear compression of +-20 pixels to 0..255 (two-stream networks, TSN)."""

import torch
from torch import Tensor

BOUND = 20.0  # pixels, of every published flow network of this family


def encode_flow(flow: Tensor, bound: float = BOUND) -> Tensor:
    """Pixels of displacement to grey levels, larger ones clipped; no motion becomes 128, to be decoded as 0.08.

    Rounds as the TSN extractor does; truncating, as some do, doubles the error. Any shape, float to uint8.
    """
    levels = 255 * (flow.double() + bound) / (2 * bound)
    return levels.round().clamp(0, 255).to(torch.uint8)


def decode_flow(levels: Tensor, bound: float = BOUND) -> Tensor:
    """Grey levels back to pixels of displacement. Any shape, uint8 to float32."""
    return levels.float() * (2 * bound / 255) - bound
