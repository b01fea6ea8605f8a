"""RGB difference: what changes between neighbouring frames, stacked like flow (TSN, section 3.1)."""

from torch import Tensor, nn

from videozoo.errors import SettingError
from videozoo.representations.segments import split_segments


class RGBDifference(nn.Module):
    """Differences of consecutive frames, one after the other along the channels; five of six frames by default.

    Shape: (B, S * F, C, H, W) -> (B, S, (F - 1) * C, H, W), with F the frames of a segment.
    """

    def __init__(self, *, in_channels: int = 3, frames: int = 6) -> None:
        super().__init__()
        if frames < 2:
            raise SettingError(f"frames {frames}: a difference needs at least 2")
        self.frames_per_segment = frames
        self.out_frames = 1
        self.out_channels = (frames - 1) * in_channels

    def forward(self, clip: Tensor) -> Tensor:
        segments = split_segments(clip, self.frames_per_segment)
        return (segments[:, :, 1:] - segments[:, :, :-1]).flatten(2, 3)
