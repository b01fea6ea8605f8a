"""A network's first part on one clip: each segment's frames, their mean, and the pictures made of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor, nn

from videozoo.clip_spec import ClipSpec
from videozoo.methods.bqn import BusyQuietNetwork, complement
from videozoo.methods.tesnet import SqueezingNetwork
from videozoo.representations.band_pass import MotionBandPass, laplacian_of_gaussian
from videozoo.representations.dynamic_image import DynamicImage
from videozoo.representations.pixel_projection import PixelProjection
from videozoo.representations.rgb_difference import RGBDifference
from videozoo.representations.temporal_squeeze import TemporalSqueeze
from videozoo.training.recognizer import ActionRecognizer
from videozoo.visualization.heat import to_pixels
from videozoo.visualization.images import spread
from videozoo.visualization.representations import Strip, kernel_sheet, sheet, signed_pictures, stretched_pictures


class Style(NamedTuple):
    """How the pictures of a representation are called, and shown."""

    caption: str
    pictures: Callable[[Tensor], Tensor]


STYLES: dict[type[nn.Module], Style] = {
    TemporalSqueeze: Style("squeezed", stretched_pictures),
    PixelProjection: Style("dynamic appearance", signed_pictures),
    MotionBandPass: Style("busy", signed_pictures),
    DynamicImage: Style("dynamic image", signed_pictures),
    RGBDifference: Style("differences", signed_pictures),
}


def input_representation(model: ActionRecognizer) -> nn.Module | None:
    """The part that makes pictures of a clip's frames before any backbone sees them, where there is one."""
    network = model.network
    if isinstance(network, SqueezingNetwork):
        return dict(network.squeezes.items()).get("input")
    if isinstance(network, BusyQuietNetwork):
        return network.band_pass
    return getattr(network, "representation", None)


def segment_sheet(representation: nn.Module, clip: Tensor, spec: ClipSpec, *, most: int | None = None) -> Image.Image:
    """A row a segment, of at most ``most`` segments spread over the clip. Shape: (1, S * F, 3, H, W)."""
    style = STYLES[type(representation)]
    with torch.inference_mode():
        made = representation.eval()(clip)[0]
    pictures = style.pictures(made.unflatten(1, (-1, 3)).flatten(0, 1))  # differences are stacked as channels
    length = spec.frames_per_segment
    segments = clip[0].unflatten(0, (-1, length))
    shown = pictures.unflatten(0, (len(segments), -1))
    rows = []
    for place in spread(len(segments), most or len(segments)):
        frames, mean = to_pixels(segments[place], spec), to_pixels(segments[place].mean(dim=0, keepdim=True), spec)
        rows.append([Strip(f"{length} frames", frames), Strip("mean", mean), Strip(style.caption, shown[place])])
    title = f"{len(rows)} segments in the order of time"
    return sheet(rows, title=title if len(rows) == len(segments) else f"{len(rows)} of the {title[2:]}")


def pathway_sheet(network: BusyQuietNetwork, clip: Tensor, spec: ClipSpec) -> Image.Image:
    """What a busy and a quiet pathway see, segment by segment. Shape: (1, S * F, 3, H, W)."""
    with torch.inference_mode():
        busy, quiet = (pictures[0] for pictures in network.inputs(clip))
    calm = signed_pictures(quiet) if network.quiet_input is complement else to_pixels(quiet, spec)
    rows = [[Strip("Busy", signed_pictures(busy))], [Strip("Quiet", calm)]]
    return sheet(rows, title=f"{len(busy)} segments in the order of time")


def band_pass_kernels(model: ActionRecognizer, band_pass: Any) -> Image.Image:
    """A network's band-pass as it started and as it is."""
    settings: Any = model.hparams
    start = laplacian_of_gaussian(settings.kernel_size, settings.sigma, settings.normalisation).float()
    space, time = band_pass.space.detach()[:, 0], band_pass.time.detach()[:, 0]
    names = ("red", "green", "blue") if len(space) == 3 else ("shared",)
    return kernel_sheet(start, space, time, names=names)
