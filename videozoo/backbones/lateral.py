"""Lateral connections: two pathways of equal blocks tell each other what they saw (thesis, section 5.4.3: BPLC).

Equation 5.5, with i counting all blocks from 1: after odd blocks Quiet receives BN(phi(Busy)), after even ones Busy
receives BN(MBPM(Quiet)). The batch norms start at zero, so that each pathway begins as the network it was.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from videozoo.errors import SettingError
from videozoo.representations.band_pass import MotionBandPass, Normalisation

Mapping = Literal["identity", "convolution", "bottleneck"]
Receivers = Literal["quiet", "busy", "both"]

BOTTLENECK_RATIO = 4
SIGMA = 0.9
KERNEL_SIZE, LAST_STAGE_KERNEL_SIZE = 7, 3  # the last stage's maps are small (section 5.5.3)


@dataclass(frozen=True)
class LateralDesign:
    """Who receives after odd and after even blocks, and whether Busy receives only what moves in Quiet."""

    odd: Receivers
    even: Receivers
    band_pass: bool = True


# Figure 5.5 of the thesis and its caption; LC-IV is the proposed one.
LATERAL_DESIGNS = {
    "lc_1": LateralDesign(odd="quiet", even="quiet"),
    "lc_2": LateralDesign(odd="busy", even="busy"),
    "lc_3": LateralDesign(odd="both", even="both"),
    "bplc": LateralDesign(odd="quiet", even="busy"),
    "lc_5": LateralDesign(odd="quiet", even="busy", band_pass=False),
}


def _convolution(channels: int) -> nn.Module:
    return nn.Conv2d(channels, channels, 1, bias=False)


def _bottleneck(channels: int) -> nn.Module:
    narrow = max(1, channels // BOTTLENECK_RATIO)
    return nn.Sequential(
        nn.Conv2d(channels, narrow, 1, bias=False), nn.ReLU(), nn.Conv2d(narrow, channels, 1, bias=False)
    )


MAPPINGS: dict[str, Callable[[int], nn.Module]] = {
    "identity": lambda channels: nn.Identity(),
    "convolution": _convolution,
    "bottleneck": _bottleneck,
}


class Lateral(nn.Module):
    """One direction: what the source sends, in the receiver's size, is added to the receiver.

    Resizing is bilinear and comes where it leaves less to do: the mapping works at the smaller of the two sizes.
    Shape: source (B, T, C, H, W), receiver (B, T, C, H', W') -> as the receiver.
    """

    def __init__(self, channels: int, mapping: Mapping, band_pass: nn.Module | None = None) -> None:
        super().__init__()
        if mapping not in MAPPINGS:
            raise SettingError(f"mapping {mapping!r}: must be one of {', '.join(MAPPINGS)}")
        self.band_pass = band_pass or nn.Identity()
        self.mapping = MAPPINGS[mapping](channels)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, source: Tensor, receiver: Tensor) -> Tensor:
        size = (receiver.shape[-2], receiver.shape[-1])
        frames = self.band_pass(source).flatten(0, 1)
        if frames.shape[-1] > size[1]:
            frames = self.mapping(resize(frames, size))
        else:
            frames = resize(self.mapping(frames), size)
        return receiver + self.norm(frames).unflatten(0, receiver.shape[:2])


class LateralExchange(nn.Module):
    """The connection after one pair of blocks; where both receive, each receives what the other was before.

    Shape: Busy (B, T, C, H, W), Quiet (B, T, C, H', W') -> the same two.
    """

    def __init__(self, to_busy: Lateral | None, to_quiet: Lateral | None) -> None:
        super().__init__()
        self.to_busy = to_busy
        self.to_quiet = to_quiet

    def forward(self, busy: Tensor, quiet: Tensor) -> tuple[Tensor, Tensor]:
        new_busy = busy if self.to_busy is None else self.to_busy(quiet, busy)
        new_quiet = quiet if self.to_quiet is None else self.to_quiet(busy, quiet)
        return new_busy, new_quiet


def resize(frames: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear, corners not aligned; nothing happens at equal size. Shape: (N, C, H, W) -> ``(N, C, *size)``."""
    if frames.shape[-2:] == size:
        return frames
    return F.interpolate(frames, size=size, mode="bilinear", align_corners=False)


def new_exchange(
    channels: int,
    index: int,
    design: str,
    *,
    last_stage: bool,
    to_quiet: Mapping = "identity",
    to_busy: Mapping = "identity",
    normalisation: Normalisation = "sum",
) -> LateralExchange:
    """The exchange after the pair of blocks ``index``, counted over the whole network from 1.

    Raises:
        SettingError: when there is no such design.
    """
    if design not in LATERAL_DESIGNS:
        raise SettingError(f"lateral {design!r}: must be one of {', '.join(LATERAL_DESIGNS)}")
    chosen = LATERAL_DESIGNS[design]
    receivers = chosen.odd if index % 2 else chosen.even
    busy_lateral = quiet_lateral = None
    if receivers in ("busy", "both"):
        band_pass = MotionBandPass(
            in_channels=channels,
            kernel_size=LAST_STAGE_KERNEL_SIZE if last_stage else KERNEL_SIZE,
            sigma=SIGMA,
            stride=1,
            normalisation=normalisation,
        )
        # Without its band-pass, a connection to Busy is a linear map in the thesis' figure: identity would be none.
        mapping = to_busy if chosen.band_pass else "convolution"
        busy_lateral = Lateral(channels, mapping, band_pass if chosen.band_pass else None)
    if receivers in ("quiet", "both"):
        quiet_lateral = Lateral(channels, to_quiet)
    return LateralExchange(busy_lateral, quiet_lateral)
