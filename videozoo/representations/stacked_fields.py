"""Stored flow as a frame-wise network takes it: the fields of a segment as channels (TSN, section 3.1)."""

from torch import Tensor, nn

from videozoo.clip_spec import ClipSpec
from videozoo.errors import SettingError

FIELD_CHANNELS = 2  # across and down


class StackedFields(nn.Module):
    """The fields of every segment one after the other along the channels: x, y, x, y, ...

    How many a segment has is read from the clip: ``channels`` over its own. A clip that has as many stays as it is.
    Shape: (B, S * F, C, H, W) -> (B, S, F * C, H, W), with F * C = ``channels``.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, clip: Tensor) -> Tensor:
        fields = self.channels // clip.shape[2]
        return clip.unflatten(1, (-1, fields)).flatten(2, 3)


def flow_spec(spec: ClipSpec, channels: int) -> ClipSpec:
    """The clip of a network whose pictures are ``channels`` of stacked flow: as many segments as it had frames.

    Raises:
        SettingError: when the channels are not whole fields.
    """
    if channels % FIELD_CHANNELS:
        raise SettingError(f"in_channels {channels}: must be 3, or two for each field of flow")
    return spec.in_snippets(channels // FIELD_CHANNELS).of_flow()
