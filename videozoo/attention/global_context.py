"""Global context: one summary of the whole clip changes the channels everywhere (Cao et al., GCNet, 2019)."""

from typing import Literal

from torch import Tensor, nn

from videozoo.attention.squeeze_excitation import ClipNorm, squeezed_width
from videozoo.attention.tokens import to_tokens
from videozoo.errors import SettingError

Pooling = Literal["attention", "average"]
Fusion = Literal["add", "multiply", "both"]
Norm = Literal["layer", "batch"]
CHOICES = {
    "pooling": ("attention", "average"),
    "fusion": ("add", "multiply", "both"),
    "norm": ("layer", "batch"),
}


class GlobalContext(nn.Module):
    """s = sum of softmax(Wk x) x over space and time; then x + W2 ReLU(norm(W1 s)), or x times the sigmoid of that.

    ``pooling`` may be the plain average, ``fusion`` a product or both (product first), each with weights of its own.
    The region-based non-local authors' code has a batch norm in the bottleneck and r = 2, which with the addition is
    the one gate of their released networks. W2 starts at zero: what is added is nothing at first.
    Shape: (B, T, C, H, W) -> (B, T, C, H, W).
    """

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 16,
        pooling: Pooling = "attention",
        fusion: Fusion = "add",
        norm: Norm = "layer",
    ) -> None:
        super().__init__()
        for name, value in (("pooling", pooling), ("fusion", fusion), ("norm", norm)):
            if value not in CHOICES[name]:
                raise SettingError(f"{name} {value!r}: allowed are {', '.join(CHOICES[name])}")
        width = squeezed_width(channels, reduction)
        self.key = nn.Linear(channels, 1) if pooling == "attention" else None
        self.multiply = bottleneck(channels, width, norm) if fusion in ("multiply", "both") else None
        self.add = bottleneck(channels, width, norm) if fusion in ("add", "both") else None

    def forward(self, features: Tensor) -> Tensor:
        context = self.context(features)
        changed = features
        if self.multiply is not None:
            changed = changed * self.multiply(context).sigmoid()[:, None, :, None, None]
        if self.add is not None:
            changed = changed + self.add(context)[:, None, :, None, None]
        return changed

    def context(self, features: Tensor) -> Tensor:
        """The clip in one vector. Shape: (B, T, C, H, W) -> (B, C)."""
        if self.key is None:
            return features.mean(dim=(1, 3, 4))
        tokens = to_tokens(features)
        return (self.key(tokens).softmax(dim=1).transpose(1, 2) @ tokens).squeeze(1)


def bottleneck(channels: int, width: int, norm: Norm) -> nn.Sequential:
    """Two linear layers with a norm and a ReLU between them; the last one starts at zero."""
    middle = nn.LayerNorm(width) if norm == "layer" else ClipNorm(width)
    last = nn.Linear(width, channels)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(channels, width), middle, nn.ReLU(inplace=True), last)
