"""What a backbone sees instead of raw frames: clip in, clip out, one file an idea.

Each is a module with three attributes: ``frames_per_segment`` consecutive frames of the clip become ``out_frames`` of
``out_channels`` channels. One with an objective of its own also has ``forward_with_loss(clip) -> (clip, loss)``.
"""

from torch import nn

from videozoo.representations.band_pass import MotionBandPass
from videozoo.representations.dynamic_image import DynamicImage
from videozoo.representations.pixel_projection import PixelProjection
from videozoo.representations.rgb_difference import RGBDifference
from videozoo.representations.temporal_squeeze import TemporalSqueeze
from videozoo.representations.tvnet import TVNet

REPRESENTATIONS: dict[str, type[nn.Module]] = {
    "temporal_squeeze": TemporalSqueeze,
    "pixel_projection": PixelProjection,
    "band_pass": MotionBandPass,
    "rgb_difference": RGBDifference,
    "dynamic_image": DynamicImage,
    "tvnet": TVNet,
}
