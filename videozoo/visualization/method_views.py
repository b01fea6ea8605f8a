"""What a network makes of one clip, as pictures with a title and a sentence: whatever applies to its method."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from videozoo.backbones.base import Backbone
from videozoo.methods.bqn import BusyQuietNetwork
from videozoo.methods.datp import AdaptiveNetwork
from videozoo.methods.fullvideo import ClusteringNetwork
from videozoo.methods.pbnet import PBNet
from videozoo.representations.band_pass import MotionBandPass
from videozoo.representations.dynamic_image import DynamicImage
from videozoo.representations.pixel_projection import PixelProjection
from videozoo.representations.rgb_difference import RGBDifference
from videozoo.representations.segments import split_segments
from videozoo.representations.temporal_squeeze import TemporalSqueeze
from videozoo.representations.tvnet import TVNet
from videozoo.training.recognizer import ActionRecognizer
from videozoo.visualization.attention import attention_blocks, look_row
from videozoo.visualization.flow import flow_sheet
from videozoo.visualization.frame_choice import cluster_rows, shown_frames, snippet_row, weight_row
from videozoo.visualization.grad_cam import grad_cam, heat_row
from videozoo.visualization.heat import labelled_strips, to_pixels
from videozoo.visualization.images import spread
from videozoo.visualization.segment_sheets import band_pass_kernels, input_representation, pathway_sheet, segment_sheet
from videozoo.visualization.timeline import Row, timeline

MOST_FRAMES = 8  # that a strip shows; more would be too small on a page
MOST_SEGMENTS = 3

# What a representation's pictures mean, in words.
MEANING = {
    TemporalSqueeze: (
        "Squeezed images",
        "Each segment's frames become fewer pictures, weighted sums whose weights the network computes from the "
        "frames themselves: what moved leaves traces, what stood still stays sharp.",
    ),
    PixelProjection: (
        "Dynamic appearance",
        "Every pixel's course through a segment is split into what a learned projection keeps and the rest; this is "
        "the mean of the rest: grey is what stands still, bright and dark is what moves, with its shape.",
    ),
    MotionBandPass: (
        "Busy maps",
        "A band-pass in space and time keeps edges that move or flicker and leaves grey where nothing happens. The "
        "network sees these pictures only, or one of its pathways does.",
    ),
    DynamicImage: (
        "Dynamic images",
        "Each segment's frames, ranked in time and pooled to one picture: late frames count positive, early ones "
        "negative.",
    ),
    RGBDifference: ("Differences of frames", "Each frame less the one before it; grey is what stands still."),
}


class MethodView(NamedTuple):
    """One picture of what a network sees, and what it says in words."""

    title: str
    explanation: str
    picture: Image.Image


def method_views(model: ActionRecognizer, clip: Tensor) -> list[MethodView]:
    """The frames that a network reads, then what its method makes of them, and last where it finds its answer.

    The model is on the CPU, in eval mode; ``clip`` is what its ClipSpec reads of a video. Shape: (1, T, 3, H, W).

    Raises:
        SettingError: for networks that read no RGB frames.
    """
    return [view for viewer in VIEWERS for view in viewer(model, clip)]


def frames_read(model: ActionRecognizer, clip: Tensor) -> list[MethodView]:
    """The frames themselves."""
    frames = to_pixels(clip[0], model.clip_spec)
    shown = spread(len(frames), MOST_FRAMES)
    spec = model.clip_spec
    groups = f", {spec.frames_per_segment} neighbours from each segment" if spec.frames_per_segment > 1 else ""
    text = f"{len(frames)} frames of {clip.shape[-1]} x {clip.shape[-2]} pixels{groups}, as the network gets them."
    picture = labelled_strips([(f"{len(shown)} of {len(frames)} frames", frames[shown])])
    return [MethodView("Frames read", text, picture)]


def representations(model: ActionRecognizer, clip: Tensor) -> list[MethodView]:
    """Pictures that take the place of the frames."""
    found = input_representation(model)
    views = []
    if found is not None and type(found) in MEANING:
        title, text = MEANING[type(found)]
        views.append(MethodView(title, text, segment_sheet(found, clip, model.clip_spec, most=MOST_SEGMENTS)))
    if isinstance(model.network, BusyQuietNetwork):
        text = "What the two pathways get: Busy the band-pass, Quiet the calm side of each segment, scaled down."
        views.append(MethodView("Busy and Quiet", text, pathway_sheet(model.network, clip, model.clip_spec)))
    if isinstance(found, MotionBandPass):
        text = "The band-pass's kernels in space as they started and as training left them; red is positive."
        views.append(MethodView("Kernels", text, band_pass_kernels(model, found)))
    return views


def flow(model: ActionRecognizer, clip: Tensor) -> list[MethodView]:
    """Optical flow of the network's own layers."""
    found = input_representation(model)
    if not isinstance(found, TVNet):
        return []
    segments = split_segments(clip, model.clip_spec.frames_per_segment)[0]
    frames, next_frames = segments[:, :-1].flatten(0, 1), segments[:, 1:].flatten(0, 1)
    shown = spread(len(frames), MOST_FRAMES)
    with torch.inference_mode():
        fields = found.flow(frames[shown], next_frames[shown])
    first = (f"{len(shown)} of {len(frames)} frames", to_pixels(frames[shown], model.clip_spec))
    text = "Optical flow that the network's first layers compute: hue is direction, paleness is stillness."
    return [MethodView("Flow", text, flow_sheet({"motion to the next frame": fields}, first))]


def clusters(model: ActionRecognizer, clip: Tensor) -> list[MethodView]:
    """Which frames become one."""
    if not isinstance(model.network, ClusteringNetwork):
        return []
    text = (
        "Neighbouring frames that activate the same units become one: bars are the distances between neighbours, "
        "each colour is one cluster."
    )
    return [_timeline("Clusters", text, model, clip, cluster_rows(model, clip, [], None, "features"))]


def segment_weights(model: ActionRecognizer, clip: Tensor) -> list[MethodView]:
    """How much each segment counts."""
    if not isinstance(model.network, AdaptiveNetwork):
        return []
    text = "How much each segment counts for the answer: bars are its weight, lines what it says by itself."
    return [_timeline("Segment weights", text, model, clip, [weight_row(model, clip, None, "network")])]


def snippets(model: ActionRecognizer, clip: Tensor) -> list[MethodView]:
    """Which snippets training would learn from."""
    if not isinstance(model, PBNet):
        return []
    rule, chosen = model.strategy.rule, model.strategy.chosen
    text = (
        f"Each snippet's divergence from the whole answer. Framed are the {chosen} that the rule {rule} takes: "
        "training learns from these alone."
    )
    return [_timeline("Chosen snippets", text, model, clip, [snippet_row(model, clip, chosen, rule, None, "network")])]


def attention(model: ActionRecognizer, clip: Tensor) -> list[MethodView]:
    """Where the place that speaks most for the answer looks, in the first and the last block that looks."""
    places = list(attention_blocks(model))
    if not places:
        return []
    position = strongest_place(model, clip)
    rows = [
        look_row(model, clip, model.clip_spec, position, place, "attention")
        for place in dict.fromkeys((places[0], places[-1]))
    ]
    text = (
        "Where the ringed place looks, the one that speaks most for the answer: dark is the smallest weight, pale the "
        "largest."
    )
    return [MethodView("Attention", text, labelled_strips([(title, _some(row, position[0])) for title, row in rows]))]


def evidence(model: ActionRecognizer, clip: Tensor) -> list[MethodView]:
    """Which places of which frames speak for the answer."""
    if not any(isinstance(module, Backbone) for module in model.modules()):
        return []
    title, frames = heat_row(model, clip, None, "answer")
    text = "Grad-CAM: which places of which frames speak for the network's own answer; pale is the most."
    return [MethodView("Where the answer is", text, labelled_strips([(title, _some(frames))]))]


def strongest_place(model: ActionRecognizer, clip: Tensor) -> tuple[int, int, int]:
    """Frame, row and column of the clip that speak most for the network's answer."""
    heat, _ = grad_cam(model, clip)
    cells = [int(place) for place in torch.unravel_index(heat.argmax(), heat.shape)]
    sides = (clip.shape[1], clip.shape[3], clip.shape[4])
    t, y, x = (int((cell + 0.5) * side / count) for cell, side, count in zip(cells, sides, heat.shape, strict=True))
    return t, y, x


def _some(frames: Tensor, wanted: int | None = None) -> Tensor:
    """A few frames of a strip, the wanted one in the place of its nearest."""
    places = spread(len(frames), MOST_FRAMES)
    if wanted is not None:
        nearest = min(range(len(places)), key=lambda i: abs(places[i] - wanted))
        places[nearest] = wanted
    return frames[places]


def _timeline(title: str, text: str, model: ActionRecognizer, clip: Tensor, rows: Sequence[Row]) -> MethodView:
    shown = shown_frames(clip, model.clip_spec)
    return MethodView(title, text, timeline(f"{len(shown)} places of the video", shown, rows))


VIEWERS: tuple[Callable[[ActionRecognizer, Tensor], list[MethodView]], ...] = (
    frames_read,
    representations,
    flow,
    clusters,
    segment_weights,
    snippets,
    attention,
    evidence,
)
