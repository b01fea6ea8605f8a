"""Flow snippets of several lengths through one network: a first convolution each, the rest shared (PBNet, III-B4)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from videozoo.backbones.base import Backbone, inflate_input_channels
from videozoo.errors import SettingError

FIELD_CHANNELS = 2  # of a flow field: across and down


class MultiLengthConvolution(nn.Module):
    """The first convolution of a network, once for every length; all give maps of one size.

    A snippet comes with as many fields as the longest has; shorter ones are its middle. Every convolution starts as
    the mean over the colours of the given one.
    Shape: (N, F, 2, H, W), kinds (N,) -> (N, C', H', W'); a kind is a place in ``lengths``.
    """

    def __init__(self, convolution: nn.Conv2d, lengths: Sequence[int]) -> None:
        super().__init__()
        self.lengths = tuple(lengths)
        self.convolutions = nn.ModuleList(_for_channels(convolution, FIELD_CHANNELS * length) for length in lengths)

    def forward(self, snippets: Tensor, kinds: Tensor) -> Tensor:
        order = kinds.argsort(stable=True)
        # Every convolution runs, if on nothing: then each has a gradient in every process.
        maps = [
            convolution(middle(snippets[kinds == kind], length).flatten(1, 2))
            for kind, (convolution, length) in enumerate(zip(self.convolutions, self.lengths, strict=True))
        ]
        return torch.cat(maps)[order.argsort()]


def middle(snippets: Tensor, length: int) -> Tensor:
    """The middle fields. Shape: (N, F, ...) -> (N, length, ...)."""
    first = (snippets.shape[1] - length) // 2
    return snippets[:, first : first + length]


def take_first_convolution(backbone: Backbone) -> nn.Conv2d:
    """The first convolution of a backbone, in whose place nothing is done any more.

    Raises:
        SettingError: when the stem's first convolution is not one over pictures.
    """
    for name, module in backbone.stem.named_modules():
        if isinstance(module, nn.Conv2d):
            parent, _, last = name.rpartition(".")
            setattr(backbone.stem.get_submodule(parent), last, nn.Identity())
            return module
    raise SettingError(f"{type(backbone).__name__}: flow snippets need a backbone whose first convolution is 2D")


def _for_channels(convolution: nn.Conv2d, channels: int) -> nn.Conv2d:
    """A new convolution of the same geometry, initialised by cross-modality averaging."""
    new = nn.Conv2d(
        channels,
        convolution.out_channels,
        convolution.kernel_size,  # type: ignore[arg-type]
        convolution.stride,  # type: ignore[arg-type]
        convolution.padding,  # type: ignore[arg-type]
        bias=convolution.bias is not None,
    )
    with torch.no_grad():
        new.weight.copy_(inflate_input_channels(convolution.weight, channels))
        if convolution.bias is not None and new.bias is not None:
            new.bias.copy_(convolution.bias)
    return new
