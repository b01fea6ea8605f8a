"""Segments of a clip: the frames that a representation turns into fewer, as an axis of their own."""

from torch import Tensor

from videozoo.errors import SettingError


def split_segments(clip: Tensor, frames: int) -> Tensor:
    """A free view with the frames of every segment apart.

    Shape: (B, S * frames, C, H, W) -> (B, S, frames, C, H, W).

    Raises:
        SettingError: when the clip is not made of whole segments.
    """
    if clip.dim() != 5 or clip.shape[1] % frames:
        raise SettingError(
            f"clip of shape {tuple(clip.shape)}: must be (B, T, C, H, W) with T a multiple of {frames}, "
            "the frames of a segment"
        )
    return clip.unflatten(1, (-1, frames))
