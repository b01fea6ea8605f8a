"""BQN: a Busy pathway for what moves, a Quiet one for the rest, in conversation (thesis, sections 5.4 and 5.5)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from videozoo.backbones.base import Backbone
from videozoo.backbones.create import create_backbone
from videozoo.backbones.fusion import Kind, PathwayFusion, take_classifier
from videozoo.backbones.lateral import LateralExchange, new_exchange, resize
from videozoo.backbones.lateral import Mapping as LateralMapping
from videozoo.errors import SettingError
from videozoo.representations.band_pass import MotionBandPass, Normalisation
from videozoo.representations.segments import split_segments
from videozoo.temporal.consensus import AverageConsensus
from videozoo.training.optimization import Optimization
from videozoo.training.recognizer import ActionRecognizer

FRAMES = 3  # of a segment, as many as the temporal filter is long
QUIET_SCALE = 160 / 256

# What the authors' code does where the thesis leaves a choice, by backbone: X3D's lateral connections map the channels
# in both directions and its pathways have a classifier each; ResNets share one and only resize.
PATTERNS: dict[str, dict[str, Any]] = {
    "x3d_*": {"to_quiet": "convolution", "to_busy": "convolution", "share_classifier": False},
    "*": {"to_quiet": "identity", "to_busy": "identity", "share_classifier": True},
}


def first_frame(segments: Tensor, busy: Tensor) -> Tensor:
    """The first frame of every segment, as in the authors' code. Shape: (B, S, 3, C, H, W) -> (B, S, C, H, W)."""
    return segments[:, :, 0]


def average(segments: Tensor, busy: Tensor) -> Tensor:
    """The mean of every segment's frames. Shape: (B, S, 3, C, H, W) -> (B, S, C, H, W)."""
    return segments.mean(dim=2)


def complement(segments: Tensor, busy: Tensor) -> Tensor:
    """The mean less what Busy sees, equation 5.4 before its resizing. Shape: (B, S, 3, C, H, W) -> (B, S, C, H, W).

    With a band-pass divided by its sum, Busy is 3 to 110 times as large as the mean, and this is all but -Busy; it
    says what it means with the normalisations l1 and peak.
    """
    return average(segments, busy) - busy


QUIET_INPUTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "first_frame": first_frame,
    "average": average,
    "complement": complement,
}


class BusyQuietNetwork(nn.Module):
    """Two equal backbones walked block by block, with lateral connections after each pair of blocks.

    Busy sees the band-pass of every segment in the clip's size, Quiet the segment's calm side, scaled down.
    Shape: (B, S * 3, C, H, W) -> (B, K).
    """

    def __init__(
        self,
        band_pass: MotionBandPass,
        busy: Backbone,
        quiet: Backbone,
        laterals: Mapping[str, LateralExchange],
        fusion: PathwayFusion,
        *,
        quiet_input: Callable[[Tensor, Tensor], Tensor],
        quiet_scale: float,
    ) -> None:
        super().__init__()
        self.band_pass = band_pass
        self.busy = busy
        self.quiet = quiet
        self.laterals = nn.ModuleDict(laterals)
        self.fusion = fusion
        self.consensus = AverageConsensus()
        self.quiet_input = quiet_input
        self.quiet_scale = quiet_scale

    def inputs(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        """What the two pathways see. Shape: (B, S * 3, C, H, W) -> (B, S, C, H, W), (B, S, C, h, w)."""
        busy = self.band_pass(clip)
        calm = self.quiet_input(split_segments(clip, FRAMES), busy)
        height, width = (max(1, round(side * self.quiet_scale)) for side in clip.shape[-2:])
        return busy, resize(calm.flatten(0, 1), (height, width)).unflatten(0, calm.shape[:2])

    def forward(self, clip: Tensor) -> Tensor:
        busy, quiet = self.inputs(clip)
        busy, quiet = self.busy.apply_part(self.busy.stem, busy), self.quiet.apply_part(self.quiet.stem, quiet)
        for (place, busy_block), (_, quiet_block) in zip(self.busy.blocks(), self.quiet.blocks(), strict=True):
            busy, quiet = self.busy.apply_part(busy_block, busy), self.quiet.apply_part(quiet_block, quiet)
            if place in self.laterals:
                busy, quiet = self.laterals[place](busy, quiet)
        scores = self.fusion(self.busy.forward_head(busy), self.quiet.forward_head(quiet))
        return self.consensus(scores)


class BQN(ActionRecognizer):
    """Busy-Quiet Net on any backbone.

    ``segments`` of three consecutive frames (without: as many as the backbone's own frames). ``lateral`` is one of
    bplc (the proposed alternation), lc_1, lc_2, lc_3, lc_5, or None; ``lateral_places`` says after which blocks,
    {stage: [block, ...]} counted from 0 (without: all). ``to_quiet`` and ``to_busy`` map the channels of what is sent;
    they and ``share_classifier`` follow the authors' code for the backbone where they are None.

    Shape: (B, S * 3, C, H, W) -> (B, K).
    """

    def __init__(
        self,
        backbone: str,
        num_classes: int,
        *,
        segments: int | None = None,
        quiet_input: str = "first_frame",
        quiet_scale: float = QUIET_SCALE,
        sigma: float = 1.1,
        kernel_size: int = 9,
        normalisation: Normalisation = "sum",
        lateral: str | None = "bplc",
        lateral_places: Mapping[int, Sequence[int]] | None = None,
        to_quiet: LateralMapping | None = None,
        to_busy: LateralMapping | None = None,
        fusion: Kind = "average",
        share_classifier: bool | None = None,
        dropout: float | None = None,
        pretrained: str | None = None,
        optimization: Optimization | None = None,
    ) -> None:
        if quiet_input not in QUIET_INPUTS:
            raise SettingError(f"quiet_input {quiet_input!r}: must be one of {', '.join(QUIET_INPUTS)}")
        if not quiet_scale > 0:
            raise SettingError(f"quiet_scale {quiet_scale}: must be positive, a share of the clip's size")
        usual = next(choice for pattern, choice in PATTERNS.items() if fnmatchcase(backbone, pattern))
        shared = usual["share_classifier"] if share_classifier is None else share_classifier
        busy, quiet = (create_backbone(backbone, num_classes, dropout=dropout, pretrained=pretrained) for _ in range(2))
        for pathway in (busy, quiet):
            pathway.pool_whole_clip()  # each has a size of its own
        laterals = {
            place: new_exchange(
                channels,
                index,
                lateral,
                last_stage=last,
                to_quiet=to_quiet or usual["to_quiet"],
                to_busy=to_busy or usual["to_busy"],
                normalisation=normalisation,
            )
            for place, channels, index, last in lateral_list(busy, lateral_places)
            if lateral is not None
        }
        spec = busy.clip_spec.in_snippets(FRAMES)
        network = BusyQuietNetwork(
            MotionBandPass(sigma=sigma, kernel_size=kernel_size, normalisation=normalisation),
            busy,
            quiet,
            laterals,
            PathwayFusion(fusion, take_classifier(busy), take_classifier(quiet), shared=shared),
            quiet_input=QUIET_INPUTS[quiet_input],
            quiet_scale=quiet_scale,
        )
        super().__init__(
            network,
            clip_spec=replace(spec, frames=FRAMES * (segments or spec.segments), size=spec.resize),
            num_classes=num_classes,
            optimization=optimization,
        )
        self.save_hyperparameters()


def lateral_list(backbone: Backbone, places: Mapping[int, Sequence[int]] | None) -> list[tuple[str, int, int, bool]]:
    """Name, channels, number from 1 over the whole network and whether it is the last stage, of every chosen place.

    Raises:
        SettingError: when the backbone has no such block.
    """
    channels = [width for widths in backbone.channels for width in widths]
    names = [name for name, _ in backbone.blocks()]
    chosen = names if places is None else [f"stage{stage}_block{block}" for stage in places for block in places[stage]]
    unknown = sorted(set(chosen) - set(names))
    if unknown:
        sizes = [len(widths) for widths in backbone.channels]
        raise SettingError(f"lateral_places {', '.join(unknown)}: this backbone's stages have {sizes} blocks")
    first_of_last_stage = len(names) - len(backbone.channels[-1])
    return [
        (name, width, index + 1, index >= first_of_last_stage)
        for index, (name, width) in enumerate(zip(names, channels, strict=True))
        if name in chosen
    ]
