"""The parts of the TV-L1 method as differentiable layers (TVNet, sections 3.2 and 4.1).

The paper's algorithm 1 is built with three corrections, each of which the authors' program also makes: the thresholding
step moves ``u`` (it does not replace it), its middle case has a minus sign, and the kernels of equation 6 are written
for correlation, [-0.5, 0, 0.5] and [-1, 1]. As printed, the method does not leave zero flow.

Two-tap kernels are products of slices and numbers, several times faster than a convolution, trained or not.
Inside the solver the two flow components come first:

    u  (2, B, H, W)       flow in pixels, x before y
    p  (2, 2, B, H, W)    dual variables: axis (x, y), component; the last column (row) of the x (y) axis is always 0
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

BACKWARD, FORWARD = 0, 1  # places of the divergence's and the gradient's kernels in ``filters``


class DataTerm(NamedTuple):
    """Brightness difference, linear in the flow: rho(u) = rho_0 + g . u, kept as what the thresholding step needs.

    With ``n = |g|^2 + epsilon``: ``gradient`` g (2, B, H, W), ``slope`` -g / n (2, B, H, W), ``offset`` -rho_0 / n
    (B, H, W), so that offset + slope . u = -rho(u) / n.
    """

    gradient: Tensor
    slope: Tensor
    offset: Tensor

    def residual(self, u: Tensor, epsilon: float) -> Tensor:
        """rho(u), grey levels. Shape: (2, B, H, W) -> (B, H, W)."""
        norm = self.gradient.square().sum(dim=0) + epsilon
        return -norm * (self.offset + (self.slope * u).sum(dim=0))


def standard_filters(iterations: int) -> Tensor:
    """The kernels [-1, 1] of every iteration.

    Shape: (iterations, 2 operators, 2 components, 2 axes, 2 taps); operator 0 is the divergence, 1 the gradient.
    """
    return torch.tensor([-1.0, 1.0]).repeat(iterations, 2, 2, 2, 1)


def central_difference(image: Tensor, kernels: Tensor | None = None) -> Tensor:
    """Image gradient; at the border half the one-sided difference, as the authors' program has it.

    ``kernels`` (2 axes, 3 taps) replace [-0.5, 0, 0.5]. Shape: (B, 1, H, W) -> (B, 2, H, W).
    """
    wide = F.pad(image, (1, 1, 0, 0), mode="replicate")
    high = F.pad(image, (0, 0, 1, 1), mode="replicate")
    if kernels is None:
        return torch.cat([wide[..., 2:] - wide[..., :-2], high[..., 2:, :] - high[..., :-2, :]], dim=1) / 2
    x, y = kernels
    along_x = x[0] * wide[..., :-2] + x[1] * wide[..., 1:-1] + x[2] * wide[..., 2:]
    along_y = y[0] * high[..., :-2, :] + y[1] * high[..., 1:-1, :] + y[2] * high[..., 2:, :]
    return torch.cat([along_x, along_y], dim=1)


def linearise(warped: Tensor, gradient: Tensor, frame: Tensor, flow: Tensor | None, epsilon: float) -> DataTerm:
    """The data term around ``flow`` (none: zero), at which the second frame and its gradient were warped.

    Shape: (B, 1, H, W), (B, 2, H, W), (B, 1, H, W), (2, B, H, W).
    """
    gradient = gradient.transpose(0, 1).contiguous()
    rho = (warped - frame)[:, 0]
    if flow is not None:
        rho = rho - (gradient * flow).sum(dim=0)
    norm = gradient.square().sum(dim=0) + epsilon
    return DataTerm(gradient, -gradient / norm, -rho / norm)


def threshold_step(u: Tensor, data: DataTerm, threshold: float) -> Tensor:
    """The flow that minimises ``|v - u|^2 / (2 theta) + lambda |rho(v)|`` at every pixel; threshold = lambda theta.

    The three cases of algorithm 1 are one clamp of -rho / n. Shape: (2, B, H, W) -> (2, B, H, W).
    """
    return u + data.gradient * (data.offset + (data.slope * u).sum(dim=0)).clamp(-threshold, threshold)


def divergence(p: Tensor, filters: Tensor) -> Tensor:
    """Backward differences of the dual variables, summed over the axes (equation 5).

    ``filters`` (2 components, 2 axes, 2 taps). Shape: (2, 2, B, H, W) -> (2, B, H, W).
    """
    taps = filters[..., None, None, None]
    x = p[0] * taps[:, 0, 1] + F.pad(p[0, ..., :-1] * taps[:, 0, 0], (1, 0))
    y = p[1] * taps[:, 1, 1] + F.pad(p[1, ..., :-1, :] * taps[:, 1, 0], (0, 0, 1, 0))
    return x + y


def flow_gradient(u: Tensor, filters: Tensor) -> Tensor:
    """Forward differences of the flow, 0 in the last column and row (equation 4).

    ``filters`` (2 components, 2 axes, 2 taps). Shape: (2, B, H, W) -> (2 axes, 2, B, H, W).
    """
    taps = filters[..., None, None, None]
    x = F.pad(u[..., 1:] * taps[:, 0, 1] + u[..., :-1] * taps[:, 0, 0], (0, 1))
    y = F.pad(u[..., 1:, :] * taps[:, 1, 1] + u[..., :-1, :] * taps[:, 1, 0], (0, 0, 0, 1))
    return torch.stack([x, y])


def tv_l1_iteration(
    u: Tensor, p: Tensor, data: DataTerm, filters: Tensor, threshold: float, epsilon: float
) -> tuple[Tensor, Tensor]:
    """One pass of algorithm 1's inner loop: threshold, then one step of the flow and of its dual variables.

    ``filters`` (2 operators, 2 components, 2 axes, 2 taps) already hold the factors theta (divergence) and tau / theta
    (gradient), ``epsilon`` the square of the latter. This is the readable form, which torch.compile fuses;
    ``unrolled_tv_l1`` computes the same faster without a compiler.
    """
    u = threshold_step(u, data, threshold) + divergence(p, filters[BACKWARD])
    gradient = flow_gradient(u, filters[FORWARD])
    norm = 1 + (gradient.square().sum(dim=0) + epsilon).sqrt()
    return u, (p + gradient) / norm
