"""Temporal squeeze pooling: K frames as D pictures, their coefficients in a learned subspace of time.

Thesis, section 3.2: TSP, equations 3.1 to 3.5.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videozoo.errors import SettingError
from videozoo.representations.precision import full_precision
from videozoo.representations.segments import split_segments

Activation = Literal["sigmoid", "leaky_relu", "tanh", "relu"]
Independence = Literal["identity", "qr"]

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "leaky_relu": F.leaky_relu,
    "tanh": torch.tanh,
    "relu": torch.relu,
}
RIDGE = 1e-6  # of the basis' mean squared column norm; keeps the solution finite where columns are nearly parallel
RESIDUAL_FLOOR = 1e-12  # under the root of equation 3.5, whose gradient is infinite where nothing is left


class TemporalSqueeze(nn.Module):
    """Each pixel's values over K frames, seen from a basis of D vectors that the clip's own brightness chooses.

    The basis comes from the frames' means through two linear layers without bias (squeeze and excitation); the
    coefficients are those of the least-squares projection on it. With ``independence="qr"`` the basis is made
    orthonormal first, which also fixes the range of the pictures; the thesis leaves the columns as they come and relies
    on their initialisation. Works on frames and on feature maps alike, in float32 even under mixed precision.

    Shape: (B, S * K, C, H, W) -> (B, S * D, C, H, W).
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        frames: int = 10,
        squeezed: int = 3,
        activations: tuple[Activation, Activation] = ("sigmoid", "leaky_relu"),
        independence: Independence = "identity",
    ) -> None:
        super().__init__()
        if not 1 <= squeezed <= frames:
            raise SettingError(f"squeezed {squeezed}: must be from 1 to {frames}, the frames of a segment")
        if not set(activations) <= set(ACTIVATIONS) or len(activations) != 2:
            raise SettingError(f"activations {tuple(activations)}: must be two of {', '.join(ACTIVATIONS)}")
        if independence not in ("identity", "qr"):
            raise SettingError(f"independence {independence!r}: must be identity or qr")
        self.frames_per_segment = frames
        self.out_frames = squeezed
        self.out_channels = in_channels
        self.activations = activations
        self.independence = independence
        self.squeeze = nn.Linear(frames, frames, bias=False)
        self.excite = nn.Linear(frames, frames * squeezed, bias=False)
        nn.init.xavier_uniform_(self.squeeze.weight)
        # One orthogonal map a column: the columns then have equal length whatever the frames' means are.
        columns = self.excite.weight.data.view(frames, squeezed, frames)
        for column in range(squeezed):
            columns[:, column] = nn.init.orthogonal_(torch.empty(frames, frames))

    def forward(self, clip: Tensor) -> Tensor:
        with full_precision(clip):
            values, basis = self._values_and_basis(clip)
            return _pictures(coefficients(values, basis), clip)

    def forward_with_loss(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        """The pictures and what they lose: the mean length of the pixels' residuals (equation 3.5).

        The thesis calls it a mean absolute error; its formula is the Euclidean norm over the K frames, not squared.
        """
        with full_precision(clip):
            values, basis = self._values_and_basis(clip)
            found = coefficients(values, basis)
            residual = values - basis @ found
            loss = (residual.square().sum(dim=2) + RESIDUAL_FLOOR).sqrt().mean()
            return _pictures(found, clip), loss

    def basis(self, clip: Tensor) -> Tensor:
        """The basis of every segment (equations 3.1 to 3.3). Shape: (B, S * K, C, H, W) -> (B, S, K, D)."""
        return self._values_and_basis(clip)[1]

    def _values_and_basis(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        segments = split_segments(clip, self.frames_per_segment)
        values = segments.flatten(3).to(torch.promote_types(clip.dtype, torch.float32))  # (B, S, K, C * H * W)
        first, second = (ACTIVATIONS[name] for name in self.activations)
        excited = second(self.excite(first(self.squeeze(values.mean(dim=3)))))
        basis = excited.unflatten(2, (self.frames_per_segment, self.out_frames))
        if self.independence == "qr":
            basis = torch.linalg.qr(basis).Q
        return values, basis


def coefficients(values: Tensor, basis: Tensor, *, ridge: float = RIDGE) -> Tensor:
    """Coefficients of the least-squares projection on the basis' columns (equation 3.4).

    Shape: (..., K, N), (..., K, D) -> (..., D, N).
    """
    gram = basis.mT @ basis
    scale = gram.diagonal(dim1=-2, dim2=-1).mean(dim=-1)[..., None, None]
    identity = torch.eye(gram.shape[-1], dtype=gram.dtype, device=gram.device)
    # The second term is for a basis of zeros, which ReLU can give: its pictures are zero.
    gram = gram + identity * (ridge * scale + torch.finfo(gram.dtype).tiny)
    return torch.linalg.solve(gram, basis.mT) @ values


def _pictures(found: Tensor, clip: Tensor) -> Tensor:
    """Coefficients (B, S, D, C * H * W) as frames (B, S * D, C, H, W)."""
    return found.flatten(1, 2).unflatten(2, clip.shape[2:]).to(clip.dtype)
