"""What TVNet does to two frames before it solves for their flow; from the authors' program, the paper is silent."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

# Lower right quarter of the authors' 5 x 5 Gaussian, as printed in their program, from the centre outwards.
_GAUSSIAN_QUARTER = ((0.219833, 0.110656, 0.013860), (0.110656, 0.055700, 0.006976), (0.013860, 0.006976, 0.000874))
_GREY = (0.299, 0.587, 0.114)


class FlowPreparation(nn.Module):
    """RGB pairs to smooth grey pairs in 0..255; each of the three steps can be left out.

    grey: weights .299, .587, .114, rounded down to whole levels. Frames of one channel are grey already.
    normalise: one linear map takes both frames of a pair to 0..255, by their common minimum and maximum.
    smooth: 5 x 5 Gaussian, zeros outside the frame.

    Shape: two frames (B, 3, H, W) or (B, 1, H, W), values in 0..255 -> two of (B, 1, H, W).
    """

    kernel: Tensor

    def __init__(self, *, grey: bool = True, normalise: bool = True, smooth: bool = True) -> None:
        super().__init__()
        self.grey = grey
        self.normalise = normalise
        self.smooth = smooth
        quarter = torch.tensor(_GAUSSIAN_QUARTER)
        fold = torch.tensor([2, 1, 0, 1, 2])
        self.register_buffer("kernel", quarter[fold][:, fold][None, None], persistent=False)

    def to_grey(self, frames: Tensor) -> Tensor:
        """The first step alone. Shape: (..., 3, H, W) or (..., 1, H, W) -> (..., 1, H, W)."""
        if not self.grey or frames.shape[-3] == 1:
            return frames
        red, green, blue = frames.unbind(-3)
        # The rounding of the sum must not push whole levels below themselves (white: 254.99998).
        return (_GREY[0] * red + _GREY[1] * green + _GREY[2] * blue + 1e-4).floor().unsqueeze(-3)

    def forward(self, frame1: Tensor, frame2: Tensor) -> tuple[Tensor, Tensor]:
        pair = self.to_grey(torch.stack([frame1, frame2], dim=1))
        if self.normalise:
            low = pair.amin(dim=(1, 2, 3, 4), keepdim=True)
            span = pair.amax(dim=(1, 2, 3, 4), keepdim=True) - low
            pair = torch.where(span > 0, 255 * (pair - low) / span.clamp_min(torch.finfo(pair.dtype).tiny), pair)
        if self.smooth:
            pair = F.conv2d(pair.flatten(0, 1), self.kernel.to(pair.dtype), padding=2).unflatten(0, pair.shape[:2])
        return pair[:, 0], pair[:, 1]
