"""From decoded frames to what a network eats; every frame of a clip is treated alike."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as TF

from videozoo.clip_spec import ClipSpec, Views
from videozoo.data.crops import (
    SCALES,
    centre_place,
    five_places,
    multi_scale_places,
    multi_scale_sizes,
    three_places,
)
from videozoo.errors import SettingError

LONGEST = {182: 228, 256: 320, 356: 446}  # short side in testing: longest in training (X3D-XS and S, M, L), pixels


def resize(frames: Tensor, size: list[int], *, antialias: bool) -> Tensor:
    """Scale to a height and width, or to a short side alone, the longer one rounded down; bytes stay bytes.

    With antialias this equals Pillow within one grey level (the TSN family); without, it is PySlowFast's (X3D) rounded
    to whole grey levels. Shape: (..., C, H, W) -> (..., C, H', W').
    """
    byte = frames.dtype == torch.uint8
    if not byte or (antialias and min(*frames.shape[-2:], *size) > 1):  # which fails for a single column
        return TF.resize(frames, size, antialias=antialias)
    # On bytes, torch rounds down without antialias: pictures would become 0.4 grey levels darker. Channels last is the
    # layout in which floats are scaled fastest.
    pictures = frames.reshape(-1, *frames.shape[-3:]).to(torch.float32, memory_format=torch.channels_last)
    scaled = TF.resize(pictures, size, antialias=antialias).round_().to(torch.uint8)
    return scaled.view(*frames.shape[:-2], *scaled.shape[-2:])


def resize_short_side(frames: Tensor, size: int, *, antialias: bool) -> Tensor:
    """Scale so that the shorter side has ``size`` pixels. Shape: (..., C, H, W) -> (..., C, H', W')."""
    if min(frames.shape[-2:]) == size:
        return frames
    return resize(frames, [size], antialias=antialias)


def normalise(frames: Tensor, spec: ClipSpec) -> Tensor:
    """Pixels 0..255 to what the network was trained on: range, channel order, mean, standard deviation.

    Shape: (..., C, H, W) -> same, float32. Where C is a multiple of the mean's length, the mean is repeated.

    Raises:
        SettingError: where it is not.
    """
    if spec.channel_order == "bgr":
        frames = frames.flip(-3)
    channels = frames.shape[-3]
    if channels % len(spec.mean) or len(spec.mean) != len(spec.std):
        raise SettingError(f"mean {spec.mean} and std {spec.std} do not fit a clip of {channels} channels")
    repeats = channels // len(spec.mean)
    mean = torch.tensor(spec.mean * repeats, dtype=torch.float64).view(-1, 1, 1)
    std = torch.tensor(spec.std * repeats, dtype=torch.float64).view(-1, 1, 1)
    factor, offset = (spec.value_range / 255 / std).to(frames.device, torch.float32), (mean / std).float()
    return frames.to(torch.float32, copy=True).mul_(factor).sub_(offset.to(frames.device))


def test_short_side(spec: ClipSpec, protocol: Views) -> int:
    """Short side in pixels to which a test protocol scales a video before it cuts its crops."""
    return protocol.resize or max(spec.resize, protocol.size or 0)


def views(frames: Tensor, spec: ClipSpec, protocol: Views) -> Tensor:
    """The crops of every clip of a test protocol, normalised.

    Shape: uint8 (clips, T, C, H, W) -> float (clips x crops, T, C, size, size).
    """
    size, short_side = protocol.size or spec.size, test_short_side(spec, protocol)
    if size > short_side:
        raise SettingError(f"views of size {size} do not fit a short side (resize) of {short_side} pixels")
    clips, length = frames.shape[:2]
    scaled = resize_short_side(frames.flatten(0, 1), short_side, antialias=spec.antialias)
    height, width = scaled.shape[-2:]
    if protocol.crops == 1:
        places = [centre_place(width, height, size)]
    elif protocol.crops == 3:
        places = three_places(width, height, size)
    else:
        places = five_places(width, height, size)
    crops = [scaled[..., y : y + size, x : x + size] for x, y in places]
    if protocol.crops == 10:
        crops = [crop for plain in crops for crop in (plain, mirror(plain, spec))]
    stacked = torch.stack(crops).unflatten(1, (clips, length)).transpose(0, 1)
    return normalise(stacked.flatten(0, 1), spec)


def mirror(frames: Tensor, spec: ClipSpec) -> Tensor:
    """Left becomes right; of flow images (u and v in turn, 8 bits) u also changes its sign."""
    flipped = frames.flip(-1)
    if spec.modality == "flow":
        flipped = flipped.clone()
        flipped[..., 0::2, :, :] = 255 - flipped[..., 0::2, :, :]
    return flipped


@dataclass(frozen=True)
class TrainTransform:
    """Random crop and mirror of a training clip, the same for all of its frames.

    The TSN family crops a rectangle of two neighbouring ``scales`` of the short side at one of thirteen places and
    resizes it to the input; with ``short_side`` (lowest, highest, in pixels) a random square of a randomly scaled clip
    is taken instead (X3D). ``flip`` mirrors every second clip.
    """

    scales: tuple[float, ...] = SCALES
    short_side: tuple[int, int] | None = None
    flip: bool = True

    def __call__(self, frames: Tensor, spec: ClipSpec, generator: torch.Generator) -> tuple[Tensor, bool]:
        """The clip, normalised, and whether it was mirrored. Shape: uint8 (T, C, H, W) -> (T, C, size, size)."""
        clip = (
            self._multi_scale_crop(frames, spec, generator)
            if self.short_side is None
            else self._random_square(frames, spec, generator)
        )
        mirrored = self.flip and bool(torch.rand((), generator=generator) < 0.5)
        if mirrored:
            clip = mirror(clip, spec)
        return normalise(clip, spec), mirrored

    def _multi_scale_crop(self, frames: Tensor, spec: ClipSpec, generator: torch.Generator) -> Tensor:
        scaled = resize_short_side(frames, spec.resize, antialias=spec.antialias)
        height, width = scaled.shape[-2:]
        crop_width, crop_height = _choose(multi_scale_sizes(width, height, spec.size, self.scales), generator)
        x, y = _choose(multi_scale_places(width, height, crop_width, crop_height), generator)
        crop = scaled[..., y : y + crop_height, x : x + crop_width]
        return resize(crop, [spec.size, spec.size], antialias=spec.antialias)

    def _random_square(self, frames: Tensor, spec: ClipSpec, generator: torch.Generator) -> Tensor:
        assert self.short_side is not None
        low, high = self.short_side
        side = max(int(torch.randint(low, high + 1, (), generator=generator)), spec.size)
        scaled = resize_short_side(frames, side, antialias=spec.antialias)
        height, width = scaled.shape[-2:]
        y = int(torch.randint(height - spec.size + 1, (), generator=generator))
        x = int(torch.randint(width - spec.size + 1, (), generator=generator))
        return scaled[..., y : y + spec.size, x : x + spec.size]


def default_train_transform(spec: ClipSpec, *, flip: bool = True) -> TrainTransform:
    """The augmentation that the family of a ClipSpec was trained with: X3D's for timed sampling, else TSN's."""
    if spec.sampling == "timed":
        return TrainTransform(short_side=(spec.resize, LONGEST.get(spec.resize, spec.resize * 5 // 4)), flip=flip)
    return TrainTransform(scales=SCALES[:3] if spec.modality == "flow" else SCALES, flip=flip)


def _choose(options: list[tuple[int, int]], generator: torch.Generator) -> tuple[int, int]:
    return options[int(torch.randint(len(options), (), generator=generator))]
