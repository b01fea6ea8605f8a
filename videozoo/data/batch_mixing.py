"""Augmentation of whole batches on the device: mixup, CutMix and RandAugment, as torchvision has them."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from videozoo.clip_spec import ClipSpec
from videozoo.data.transforms import normalise
from videozoo.errors import SettingError


@dataclass(frozen=True)
class BatchMixing:
    """Which of them a training batch goes through.

    ``mixup`` and ``cutmix`` are the parameters of their Beta distributions, 0 for none; with both, every batch draws
    one of the two. Labels become probabilities (B, K). ``randaugment`` is the magnitude 0..30, None for none; all
    frames of a clip undergo the same ``operations`` at the same strength.
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    randaugment: int | None = None
    operations: int = 2

    def __post_init__(self) -> None:
        if self.mixup < 0 or self.cutmix < 0:
            raise SettingError(f"mixup {self.mixup}, cutmix {self.cutmix}: must be at least 0")
        if self.randaugment is not None and not 0 <= self.randaugment <= 30:
            raise SettingError(f"randaugment {self.randaugment}: must be 0 to 30")

    def __call__(self, batch: dict[str, Tensor], spec: ClipSpec, num_classes: int, seed: int) -> dict[str, Tensor]:
        """The batch, augmented; the same seed makes the same draws.

        Raises:
            SettingError: for RandAugment of anything but RGB.
        """
        clip, label = batch["clip"], batch["label"]
        with torch.random.fork_rng(devices=[]):  # every draw of these transforms is made on the CPU
            torch.manual_seed(seed)
            if self.randaugment is not None:
                clip = self._augment(clip, spec)
            mixes: list[Any] = [v2.MixUp(alpha=self.mixup, num_classes=num_classes)] if self.mixup else []
            mixes += [v2.CutMix(alpha=self.cutmix, num_classes=num_classes)] if self.cutmix else []
            if mixes:
                mixed, label = v2.RandomChoice(mixes)(tv_tensors.Video(clip), label)
                clip = mixed.as_subclass(Tensor)
        return {**batch, "clip": clip, "label": label}

    def _augment(self, clips: Tensor, spec: ClipSpec) -> Tensor:
        if spec.modality != "rgb":
            raise SettingError(f"randaugment of {spec.modality}: its operations are those of colour pictures")
        augment = v2.RandAugment(self.operations, self.randaugment)
        return torch.stack([normalise(augment(pixels), spec) for pixels in denormalise(clips, spec)])


def denormalise(clip: Tensor, spec: ClipSpec) -> Tensor:
    """Pixels again, as they were before normalise. Shape: (..., C, H, W) -> same, uint8."""
    repeats = clip.shape[-3] // len(spec.mean)
    mean = torch.tensor(spec.mean * repeats, device=clip.device).view(-1, 1, 1)
    std = torch.tensor(spec.std * repeats, device=clip.device).view(-1, 1, 1)
    pixels = ((clip * std + mean) * (255 / spec.value_range)).round().clamp(0, 255).to(torch.uint8)
    return pixels.flip(-3) if spec.channel_order == "bgr" else pixels
