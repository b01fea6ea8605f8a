"""Where a position of a clip looks, in networks whose attention compares positions (thesis, figures 4.8 to 4.10)."""

import torch
from torch import Tensor, nn

from videozoo.backbones.base import Attended, Backbone
from videozoo.clip_spec import ClipSpec
from videozoo.errors import SettingError
from videozoo.visualization.heat import mark, paint, stretch, to_pixels


def attention_blocks(model: nn.Module) -> dict[str, nn.Module]:
    """The blocks that can say where a position looks, by the place after which they stand: ``stage.block``."""
    found: dict[str, nn.Module] = {}
    for backbone in (module for module in model.modules() if isinstance(module, Backbone)):
        for stage, blocks in enumerate(backbone.stages):
            for name, module in blocks.named_modules():
                if isinstance(module, Attended):
                    looking = [part for part in module.attention.modules() if hasattr(part, "weights")]
                    found |= {f"{stage}.{name.split('.')[0]}": part for part in looking}
    return found


def chosen_block(model: nn.Module, place: str | None) -> tuple[str, nn.Module]:
    """The block of that place, or the network's first one.

    Raises:
        SettingError: when the network has none, or none there.
    """
    blocks = attention_blocks(model)
    if not blocks:
        raise SettingError(f"{type(model).__name__} has no attention between positions; rnl, nl and cpa have")
    if place is None:
        place = next(iter(blocks))
    if place not in blocks:
        raise SettingError(f"block {place!r}: allowed are {', '.join(blocks)} (stage.block)")
    return place, blocks[place]


def look(model: nn.Module, clip: Tensor, position: tuple[int, int, int], block: nn.Module) -> Tensor:
    """Weights with which the position looks at all others of its block's grid.

    ``position`` is (frame, row, column) in the clip's own frames and pixels.
    Shape: (1, T, C, H, W) -> (T', H', W').

    Raises:
        SettingError: when the position is outside the clip.
    """
    sides = (clip.shape[1], clip.shape[3], clip.shape[4])
    if any(not 0 <= place < side for place, side in zip(position, sides, strict=True)):
        allowed = " ".join(f"{name} 0..{side - 1}" for name, side in zip("tyx", sides, strict=True))
        raise SettingError(f"position {','.join(map(str, position))}: allowed are {allowed}")
    seen: list[Tensor] = []
    handle = block.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    try:
        with torch.no_grad():
            model(clip)
    finally:
        handle.remove()
    features = seen[0]
    grid = (features.shape[1], features.shape[3], features.shape[4])
    t, y, x = (place * cells // side for place, cells, side in zip(position, grid, sides, strict=True))
    with torch.no_grad():
        return block.weights(features, (t, y, x))[0]  # type: ignore[operator]


def look_row(
    model: nn.Module, clip: Tensor, spec: ClipSpec, position: tuple[int, int, int], place: str | None, name: str
) -> tuple[str, Tensor]:
    """The frames under the weights with which the position, in a ring, looks at them, and a line of text.

    Shape: (1, T, C, H, W) -> uint8 (T, 3, H, W).
    """
    place, block = chosen_block(model, place)
    weights = look(model, clip, position, block)
    cells = " x ".join(map(str, weights.shape))
    frames = paint(to_pixels(clip[0], spec), stretch(weights))
    return f"{name}, after block {place}: {cells} positions", mark(frames, position)
