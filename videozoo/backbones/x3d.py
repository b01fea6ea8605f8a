"""X3D: small volume-wise networks, grown step by step in length, size, width and depth (X3D, section 3)."""

import operator
import warnings
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from videozoo.backbones.base import Backbone
from videozoo.backbones.pretrained import start_from
from videozoo.clip_spec import ClipSpec, Views

with warnings.catch_warnings():
    warnings.simplefilter("ignore", FutureWarning)  # it compiles a function, which is not used here, with torch.jit
    from pytorchvideo.models.resnet import BottleneckBlock
    from pytorchvideo.models.x3d import create_x3d

MEAN = (0.45, 0.45, 0.45)
STD = (0.225, 0.225, 0.225)


class VolumeWise(nn.Module):
    """Apply a volume module, which wants channels before time.

    Between two of these the transposed view is transposed back, so only the clip itself is ever not contiguous.
    Shape: (B, T, C, H, W) -> (B, T', C', H', W').
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, clip: Tensor) -> Tensor:
        return self.module(clip.transpose(1, 2)).transpose(1, 2)


class X3DHead(nn.Module):
    """Widening, average over the training clip's window, widening again, classifier at every place of the window.

    On a larger clip the window slides and the scores of its places in space are averaged; on a smaller one it
    shrinks to the clip; without a window the whole clip is averaged.
    Shape: (B, T, C, H, W) -> (B, T', K) with T' = max(T - window frames, 0) + 1.
    """

    def __init__(self, parts: Any, window: tuple[int, int, int] | None) -> None:
        super().__init__()
        self.window = window
        self.pre_conv = parts.pool.pre_conv
        self.pre_norm = parts.pool.pre_norm
        self.post_conv = parts.pool.post_conv
        self.activation = nn.ReLU(inplace=True)
        self.dropout = parts.dropout or nn.Identity()
        self.classifier = parts.proj

    def pool(self, features: Tensor) -> Tensor:
        """What the classifier sees at every place of the window. Shape: (B, T, C, H, W) -> (B, T', H', W', D)."""
        widened = self.activation(self.pre_norm(self.pre_conv(features.transpose(1, 2))))
        largest = self.window or widened.shape[2:]
        window = [min(wanted, there) for wanted, there in zip(largest, widened.shape[2:], strict=True)]
        pooled = F.avg_pool3d(widened, window, stride=1)
        return self.activation(self.post_conv(pooled)).movedim(1, -1)

    def position_scores(self, features: Tensor) -> Tensor:
        """Scores at every place of the window. Shape: (B, T, C, H, W) -> (B, T', H', W', K)."""
        return self.classifier(self.dropout(self.pool(features)))

    def forward(self, features: Tensor) -> Tensor:
        return self.position_scores(features).mean(dim=(2, 3))


@dataclass(frozen=True)
class X3DShape:
    """The widths and depths that tell one X3D from another; the defaults are those of XS, S and M."""

    width: float = 2.0
    depth: float = 2.2
    stem_width: int = 12
    head_width: int = 2048
    first_stride: int = 2


class X3D(Backbone):
    """A network by pytorchvideo in the parts of the backbone contract, without its softmax.

    Its swish is replaced by the same function of torch, SiLU, which works in place. Fresh weights are drawn as
    PySlowFast draws them for training X3D: residual branches start at zero.
    """

    head: X3DHead

    def __init__(
        self, num_classes: int, shape: X3DShape, *, clip_spec: ClipSpec, in_channels: int = 3, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.clip_spec = clip_spec
        self.num_features = shape.head_width
        net = create_x3d(
            input_channel=in_channels,
            input_clip_length=clip_spec.frames,
            input_crop_size=clip_spec.size,
            model_num_class=num_classes,
            dropout_rate=dropout,
            width_factor=shape.width,
            depth_factor=shape.depth,
            stem_dim_in=shape.stem_width,
            stage_spatial_stride=(shape.first_stride, 2, 2, 2),
            head_dim_out=shape.head_width,
            activation=partial(nn.ReLU, inplace=True),
            inner_act=partial(nn.SiLU, inplace=True),
            head_activation=None,
        )
        stem, *stages, head = net.blocks
        self.stem = VolumeWise(stem)
        self.channels = []
        for stage in stages:
            for block in stage.res_blocks:
                block.branch_fusion = operator.add  # a lambda there could not be sent to another process
            self.stages.append(nn.Sequential(*(VolumeWise(block) for block in stage.res_blocks)))
            self.channels.append([block.branch2.conv_c.out_channels for block in stage.res_blocks])
        grid = -(-clip_spec.size // (16 * shape.first_stride))
        self.head = X3DHead(head, (clip_spec.frames, grid, grid))
        self.apply(_draw)
        nn.init.normal_(self.head.classifier.weight, std=0.01)

    @property
    def classifier(self) -> nn.Linear:
        """The layer whose rows are the classes."""
        return self.head.classifier

    def pool_whole_clip(self) -> None:
        """Drop the head's window, whose size is that of the training clip."""
        self.head.window = None


def _draw(module: nn.Module) -> None:
    """Fresh weights of one module."""
    if isinstance(module, nn.Conv3d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, BottleneckBlock):
        nn.init.zeros_(module.norm_c.weight)
    elif isinstance(module, nn.Linear):
        nn.init.zeros_(module.bias)


def _spec(frames: int, stride: int, size: int, resize: int) -> ClipSpec:
    """The training clip of a published X3D, tested on 10 clips x 3 crops whose probabilities are averaged."""
    views = Views(clips=10, crops=3, average="probabilities", size=resize)
    return ClipSpec(
        frames, size, resize, sampling="timed", stride=stride, mean=MEAN, std=STD, antialias=False, views=views
    )


VARIANTS = {
    "xs": (X3DShape(), _spec(4, 12, 160, 182)),
    "s": (X3DShape(), _spec(13, 6, 160, 182)),
    "m": (X3DShape(), _spec(16, 5, 224, 256)),
    "l": (X3DShape(depth=5.0), _spec(16, 5, 312, 356)),
    "tiny": (
        X3DShape(width=1.0, depth=1.0, head_width=256, first_stride=1),
        ClipSpec(frames=8, size=64, resize=64, mean=MEAN, std=STD),
    ),
}


def x3d(
    num_classes: int, *, variant: str, in_channels: int = 3, dropout: float = 0.5, pretrained: str | None = None
) -> X3D:
    """A published X3D or the tiny one of 0.3 M parameters; ``pretrained`` is a safetensors file."""
    shape, spec = VARIANTS[variant]
    backbone = X3D(num_classes, shape, clip_spec=spec, in_channels=in_channels, dropout=dropout)
    start_from(backbone, pretrained)
    return backbone
