"""The residual block of frame-wise networks, the place of the temporal shift (TSM, section 3.2)."""

from timm.layers.conv_bn_act import ConvNormAct
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn

from videozoo.errors import SettingError
from videozoo.temporal.shift import temporal_shift


class ResidualBlock(nn.Module):
    """A branch and a shortcut on every frame; with ``shift``, the branch sees a little of the neighbouring frames.

    The shortcut stays unshifted, which keeps each frame's own information whole (TSM, figure 3b).
    Shape: (B, T, C, H, W) -> (B, T, C', H', W').
    """

    def __init__(
        self,
        branch: nn.Module,
        *,
        shift: bool,
        shortcut: nn.Module | None = None,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.shift = shift
        self.branch = branch
        self.shortcut = shortcut or nn.Identity()
        self.activation = activation or nn.Identity()

    def forward(self, clip: Tensor) -> Tensor:
        seen = temporal_shift(clip) if self.shift else clip
        features = self.branch(seen.flatten(0, 1))
        features += self.shortcut(clip.flatten(0, 1))
        return self.activation(features).unflatten(0, clip.shape[:2])


def take_activation(block: nn.Module) -> nn.Module:
    """Take the activation out that ends a block: ``forward`` then gives the sum of branch and shortcut.

    Raises:
        SettingError: when the block does not end in an activation of its own, as stems and concatenations do not.
    """
    part = getattr(block, "module", block)  # volume-wise blocks are wrapped
    activation = getattr(part, "activation", None)
    if not isinstance(activation, nn.Module):
        raise SettingError(f"{type(part).__name__} does not end in one activation; residual blocks do")
    part.activation = nn.Identity()
    return activation


def split_norm(norm: BatchNormAct2d) -> tuple[nn.BatchNorm2d, nn.Module]:
    """A norm and activation that timm joins, as two modules: so the norm can be folded and frozen as any other."""
    plain = nn.BatchNorm2d(norm.num_features, eps=norm.eps, momentum=norm.momentum)
    plain.load_state_dict(norm.state_dict())
    return plain, norm.act


def split_norms(module: nn.Module) -> nn.Module:
    """Replace every ConvNormAct inside ``module``, itself included, by convolution, norm and activation in a row.

    The names of parameters stay as they are.
    """
    if isinstance(module, ConvNormAct):
        norm, activation = split_norm(module.bn)
        parts = nn.Sequential()
        for name, part in (("conv", module.conv), ("bn", norm), ("act", activation)):
            parts.add_module(name, part)
        return parts
    for name, child in module.named_children():
        setattr(module, name, split_norms(child))
    return module
