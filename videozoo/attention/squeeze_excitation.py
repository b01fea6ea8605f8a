"""Squeeze and excitation over space and time: as a gate (Hu et al. 2018), and added as in the thesis (4.4)."""

from torch import Tensor, nn
from torch.nn import functional as F

from videozoo.errors import SettingError


def squeezed_width(channels: int, reduction: int) -> int:
    """Channels of the bottleneck.

    Raises:
        SettingError: when the reduction is not positive.
    """
    if reduction < 1:
        raise SettingError(f"reduction {reduction}: must be at least 1")
    return max(channels // reduction, 1)


class ClipNorm(nn.BatchNorm1d):
    """Batch norm of one vector a clip; a clip alone in its batch, whose variance is zero, sees the stored statistics.

    Shape: (B, D) -> (B, D).
    """

    def forward(self, vectors: Tensor) -> Tensor:
        if self.training and len(vectors) == 1:
            return F.batch_norm(vectors, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        return super().forward(vectors)


class SqueezeExcitation(nn.Module):
    """x * sigmoid(W2 ReLU(W1 s)), s the mean of x over space and time; table 4.6's baseline, r = 16, without biases.

    Shape: (B, T, C, H, W) -> (B, T, C, H, W).
    """

    def __init__(self, channels: int, *, reduction: int = 16, bias: bool = False) -> None:
        super().__init__()
        width = squeezed_width(channels, reduction)
        self.squeeze = nn.Linear(channels, width, bias=bias)
        self.activation = nn.ReLU(inplace=True)
        self.excite = nn.Linear(width, channels, bias=bias)

    def forward(self, features: Tensor) -> Tensor:
        gate = self.excite(self.activation(self.squeeze(features.mean(dim=(1, 3, 4))))).sigmoid()
        return features * gate[:, None, :, None, None]


class AdditiveSqueezeExcitation(nn.Module):
    """x + W2 ReLU(BN(W1 s)), s the mean of x over space and time: added, neither gate nor product (4.12 to 4.14).

    The text says r = 2, its parameter counts (table 4.6) r = 16. W2 starts at zero: the block is the identity at first.
    Shape: (B, T, C, H, W) -> (B, T, C, H, W).
    """

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        width = squeezed_width(channels, reduction)
        self.squeeze = nn.Linear(channels, width)
        self.norm = ClipNorm(width)
        self.activation = nn.ReLU(inplace=True)
        self.excite = nn.Linear(width, channels)
        nn.init.zeros_(self.excite.weight)
        nn.init.zeros_(self.excite.bias)

    def forward(self, features: Tensor) -> Tensor:
        squeezed = self.activation(self.norm(self.squeeze(features.mean(dim=(1, 3, 4)))))
        return features + self.excite(squeezed)[:, None, :, None, None]
