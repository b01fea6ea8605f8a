"""What a flow should satisfy: the TV-L1 energy without labels, the end-point error with them (TVNet, eq. 1, 13, 14)."""

import torch
from torch import Tensor

from videozoo.representations.warping import Border, warp

UNKNOWN_FLOW = 1e9  # Middlebury's convention: a pixel whose displacement exceeds this has no ground truth


def tv_l1_energy(
    frame1: Tensor,
    frame2: Tensor,
    flow: Tensor,
    *,
    data_weight: float = 0.15,
    isotropic: bool = False,
    border: Border = "clamp",
) -> Tensor:
    """Mean of ``data_weight |I2(x + u) - I1(x)|`` plus mean total variation of the flow: L_f of equation 13.

    The second frame is really warped, not linearised. Equation 1 prints the length of the flow's gradient
    (``isotropic``); the authors' program adds the sizes of its parts, which is the default here.

    Shape: frames (B, 1, H, W) in grey levels, flow (B, 2, H, W) in pixels -> a scalar.
    """
    brightness = (warp(frame2, flow, border) - frame1).abs().mean()
    along_x, along_y = flow.diff(dim=-1), flow.diff(dim=-2)
    if isotropic:
        x = torch.nn.functional.pad(along_x, (0, 1))
        y = torch.nn.functional.pad(along_y, (0, 0, 0, 1))
        variation = (x.square() + y.square() + 1e-12).sqrt().sum()
    else:
        variation = along_x.abs().sum() + along_y.abs().sum()
    return data_weight * brightness + variation / flow[:, 0].numel()


def known_pixels(target: Tensor) -> Tensor:
    """Where a ground truth is known. Shape: (B, 2, H, W) -> bool (B, H, W)."""
    return (target.abs() <= UNKNOWN_FLOW).all(dim=1)


def end_point_error(flow: Tensor, target: Tensor) -> Tensor:
    """Mean distance in pixels between flow and ground truth over the known pixels, picture by picture (equation 14).

    Differentiable also where they agree. Shape: (B, 2, H, W) twice -> (B,).
    """
    known = known_pixels(target)
    difference = torch.where(known[:, None], flow - target, 0.0)
    distance = (difference.square().sum(dim=1) + 1e-20).sqrt() * known
    return distance.sum(dim=(1, 2)) / known.sum(dim=(1, 2)).clamp_min(1)
