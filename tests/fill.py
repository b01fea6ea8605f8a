"""Weights and inputs that follow from names alone, so that recorded scores need no recorded weights.

Each tensor is drawn from its own generator, seeded with the crc32 of its name. Norm scales are near 1, means and
biases near 0, variances at least 1; convolutions and linear layers get a standard deviation of sqrt(gain / fan in), and
from 8 input channels on each filter is centred, or the common offset of ReLU features would drown what differs.
"""

import zlib
from math import ceil, prod, sqrt

import torch


def draw(name, shape):
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    return torch.randn(*shape, generator=generator) if shape else torch.randn((), generator=generator)


def fill_tensor(key, shape, gain):
    kind = key.split(".")[-1]
    if kind == "num_batches_tracked":
        return torch.zeros(shape, dtype=torch.int64)
    if kind == "mask":
        mask = torch.zeros(shape)
        for row in range(shape[0]):
            mask[row, row % shape[1]] = 1
        return mask
    noise = draw(key, shape)
    if kind == "running_var":
        return 1 + 0.1 * noise.abs()
    if kind != "weight":
        return 0.1 * noise
    if noise.dim() == 1:
        return 1 + 0.1 * noise
    if shape[1] >= 8:
        noise = noise - noise.mean(dim=tuple(range(1, noise.dim())), keepdim=True)
    return sqrt(gain / prod(shape[1:])) * noise


def fill_state(shapes, gain):
    """Upstream key -> shape to upstream key -> tensor."""
    return {key: fill_tensor(key, tuple(shape), gain) for key, shape in shapes.items()}


def fill_input(name, shape):
    """Noise; pictures of 32 pixels and more get a mosaic of 4 x 4 cells, which global pooling cannot average away."""
    noise = draw(name, shape)
    if len(shape) < 3 or min(shape[-2:]) < 32:
        return noise
    height, width = shape[-2:]
    rows = torch.arange(height) // ceil(height / 4)
    columns = torch.arange(width) // ceil(width / 4)
    cells = draw(f"{name}/coarse", (*shape[:-2], 4, 4))
    return 0.5 * noise + cells[..., rows, :][..., columns]
