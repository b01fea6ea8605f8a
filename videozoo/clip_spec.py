"""What a network eats and how its answers over several views are averaged, as plain data.

The legend of shape letters, the same everywhere in this package:

    B  videos in a batch              V  views (clips in time x crops in space) of one video
    T  frames of a clip, flat in time: segments x frames per segment, those of one segment side by side
    C  channels                       H, W  height and width in pixels
    K  classes                        D  features of one frame or clip

A batch is a dict: ``clip`` (B, T, C, H, W) or views (B, V, T, C, H, W), float; ``label`` (B,) class numbers, (B, K)
where a video has several; ``index`` (B,) the videos' places in their list.
"""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, ClassVar, Literal

from videozoo.errors import SettingError

Sampling = Literal["uniform", "dense", "timed", "all"]
Modality = Literal["rgb", "flow", "rgb_difference"]
Average = Literal["scores", "probabilities"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# How the manifest's schema reads these two classes: an unknown field or a converted type is an error.
_SCHEMA = {"extra": "forbid", "strict": True, "allow_inf_nan": False}


@dataclass(frozen=True)
class Views:
    """A test protocol: ``clips`` positions in time times ``crops`` places in space, then one average.

    ``crops`` is 1 (centre), 3 (along the longer side) or 10 (corners, centre and their mirrors). ``resize`` and
    ``size`` (pixels) and ``frames`` replace those of the ClipSpec where a protocol tests at another resolution or
    length.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _SCHEMA

    clips: int = 1
    crops: Literal[1, 3, 10] = 1
    average: Average = "scores"
    resize: int | None = None
    size: int | None = None
    frames: int | None = None

    def __post_init__(self) -> None:
        if self.clips < 1 or self.crops not in (1, 3, 10):
            raise SettingError(f"views {self.clips}x{self.crops}: clips must be at least 1, crops one of 1, 3, 10")

    def __str__(self) -> str:
        return f"{self.clips}x{self.crops}"


@dataclass(frozen=True)
class ClipSpec:
    """How a network's input clip is made from a video.

    Sampling, N being the video's frames (sources: TSN, TSM and PySlowFast, as their test code does it):
        uniform: ``frames / frames_per_segment`` equal segments, consecutive frames from the centre of each.
        dense:   every ``stride``-th frame of a window of 64 frames; with ``frames_per_segment`` > 1 all consecutive.
        timed:   ``frames`` frames spread over ``frames * stride / fps`` seconds, whatever the file's frame rate.
        all:     every frame in order; a shorter video repeats its last frame up to ``frames``.

    ``resize`` is the short side in pixels before a square of ``size`` is cut. Pixels in 0..255 are divided by
    255 / ``value_range``, reordered to ``channel_order``, then ``mean`` and ``std`` are applied per channel.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _SCHEMA

    frames: int
    size: int
    resize: int
    sampling: Sampling = "uniform"
    frames_per_segment: int = 1
    stride: int = 1
    fps: float = 30.0
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    value_range: Literal[1, 255] = 1
    channel_order: Literal["rgb", "bgr"] = "rgb"
    modality: Modality = "rgb"
    antialias: bool = True
    views: Views = field(default_factory=Views)  # the protocol of the reported figure

    def __post_init__(self) -> None:
        if self.frames < 1 or self.frames_per_segment < 1 or self.frames % self.frames_per_segment:
            raise SettingError(
                f"frames {self.frames} must be a positive multiple of frames_per_segment {self.frames_per_segment}"
            )
        if self.size < 1 or self.resize < self.size:
            raise SettingError(f"size {self.size} must be between 1 and resize {self.resize} (pixels)")

    @property
    def segments(self) -> int:
        """Parts of the video in time from which snippets are taken."""
        return self.frames // self.frames_per_segment

    def in_snippets(self, length: int) -> "ClipSpec":
        """The clip of a network in which ``length`` consecutive frames take the place of every frame.

        Snippets come from uniform segments, whatever this clip's own sampling; the answer is that of one view.
        """
        return replace(
            self,
            frames=self.frames * length,
            frames_per_segment=length,
            sampling="uniform",
            stride=1,
            views=Views(),
        )

    def of_flow(self) -> "ClipSpec":
        """The clip of the same network on flow images, 8 bits with 128 for no motion (TSN).

        A network of pixels 0..255 sees them minus 128, any other divided by 255 as TSM does it.
        """
        mean, std = (128.0, 1.0) if self.value_range == 255 else (0.5, 0.226)
        return replace(self, modality="flow", mean=(mean, mean), std=(std, std), channel_order="rgb")

    def to_dict(self) -> dict[str, Any]:
        """Plain values only, ready for YAML or JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ClipSpec":
        """The inverse of to_dict; lists become tuples."""
        values = dict(values)
        for name in ("mean", "std"):
            if name in values:
                values[name] = tuple(values[name])
        values["views"] = Views(**values.get("views", {}))
        return cls(**values)
