"""The contract of every backbone: a stem, stages of blocks, a head, all on (B, T, C, H, W)."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from videozoo.backbones.recompute import recompute
from videozoo.clip_spec import ClipSpec
from videozoo.errors import SettingError


class FrameWise(nn.Module):
    """Apply an image module to every frame of a clip: time is folded into the batch, which is a free view.

    Shape: (B, T, C, H, W) -> (B, T, C', H', W').
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, clip: Tensor) -> Tensor:
        return self.module(clip.flatten(0, 1)).unflatten(0, clip.shape[:2])


class Attended(nn.Module):
    """A block followed by a module that keeps the shape of its features.

    Shape: (B, T, C, H, W) -> (B, T, C', H', W').
    """

    def __init__(self, block: nn.Module, attention: nn.Module) -> None:
        super().__init__()
        self.block = block
        self.attention = attention

    def forward(self, clip: Tensor) -> Tensor:
        return self.attention(self.block(clip))


class Backbone(nn.Module):
    """A network body in named parts: ``stem``, ``stages`` (each a Sequential of blocks) and ``head``.

    Every part of the body maps (B, T, C, H, W) to (B, T', C', H', W'); T is read from the tensor. ``head`` maps the
    last features to scores (B, T', K). ``channels[stage][block]`` are the output channels of each block,
    ``num_features`` the width that the classifier sees, ``clip_spec`` the input that this network was designed for.
    Subclasses build the parts and say in ``classifier`` which linear layer of the head holds the classes.
    ``middle_stages`` are the two whose grids are an eighth and a sixteenth of the clip's (res3 and res4 of a ResNet).
    With ``recomputed`` n > 0, the stem and the first n stages keep only their blocks' inputs in training.
    """

    middle_stages: tuple[int, int] = (1, 2)
    recomputed: int = 0

    clip_spec: ClipSpec

    stem: nn.Module
    head: nn.Module
    channels: list[list[int]]
    num_features: int

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Identity()  # registered in the order of the forward pass: the first convolution comes first
        self.stages = nn.ModuleList()

    @property
    def classifier(self) -> nn.Linear:
        """The layer whose rows are the classes."""
        raise TypeError(f"{type(self).__name__} does not name its classifier")

    def forward_features(self, clip: Tensor) -> Tensor:
        """Features of the last stage. Shape: (B, T, C, H, W) -> (B, T', C', H', W')."""
        features = self.apply_part(self.stem, clip)
        for stage, blocks in enumerate(self.stages):
            for block in blocks.children() if stage < self.recomputed else (blocks,):
                features = self.apply_part(block, features)
        return features

    def apply_part(self, part: nn.Module, features: Tensor) -> Tensor:
        """The stem or a block on features, in the way that ``recomputed`` asks for; what walks the blocks calls this.

        Shape: (B, T, C, H, W) -> (B, T', C', H', W').
        """
        stages = self.stages[: self.recomputed]
        again = self.recomputed and (part is self.stem or any(part is block for s in stages for block in s.children()))
        return recompute(part, features) if again else part(features)

    def forward_head(self, features: Tensor) -> Tensor:
        """Scores of every remaining frame. Shape: (B, T', C', H', W') -> (B, T', K)."""
        return self.head(features)

    def forward(self, clip: Tensor) -> Tensor:
        """Scores before the temporal consensus. Shape: (B, T, C, H, W) -> (B, T', K)."""
        return self.forward_head(self.forward_features(clip))

    def blocks(self) -> list[tuple[str, nn.Module]]:
        """Every block in order, with the name of the place after it: stage0_block0 and so on."""
        parts: list[tuple[str, nn.Module]] = []
        for stage, blocks in enumerate(self.stages):
            assert isinstance(blocks, nn.Sequential)
            parts += [(f"stage{stage}_block{block}", part) for block, part in enumerate(blocks)]
        return parts

    def pool_whole_clip(self) -> None:
        """Let the head average over the whole of any clip; only heads with a window of a fixed size differ."""

    def attend(self, places: Mapping[int, Sequence[int]], factory: Callable[[int], nn.Module]) -> None:
        """Put ``factory(channels)`` after the named blocks, ``{stage: (block, ...)}``, both counted from 0."""
        for stage, blocks in places.items():
            for block in blocks:
                if stage >= len(self.stages) or block >= len(self.channels[stage]):
                    sizes = [len(blocks) for blocks in self.channels]
                    raise SettingError(f"no block {block} in stage {stage}: this backbone's stages have {sizes} blocks")
                part = self.stages[stage]
                assert isinstance(part, nn.Sequential)
                part[block] = Attended(part[block], factory(self.channels[stage][block]))


def inflate_input_channels(weight: Tensor, channels: int) -> Tensor:
    """Cross-modality initialisation: the kernel's mean over its input channels, repeated (TSN, section 3.2).

    Shape: (C', C, ...) -> (C', channels, ...). Not rescaled, as in the TSN and TSM code.
    """
    return weight.mean(dim=1, keepdim=True).expand(-1, channels, *weight.shape[2:]).contiguous()


def adapt_first_convolution(convolution: nn.Conv2d | nn.Conv3d, channels: int) -> nn.Conv2d | nn.Conv3d:
    """The same convolution for another number of input channels, initialised by cross-modality averaging."""
    if convolution.in_channels == channels:
        return convolution
    adapted = type(convolution)(
        channels,
        convolution.out_channels,
        convolution.kernel_size,  # type: ignore[arg-type]
        convolution.stride,  # type: ignore[arg-type]
        convolution.padding,  # type: ignore[arg-type]
        bias=convolution.bias is not None,
    )
    with torch.no_grad():
        adapted.weight.copy_(inflate_input_channels(convolution.weight, channels))
        if convolution.bias is not None and adapted.bias is not None:
            adapted.bias.copy_(convolution.bias)
    return adapted
