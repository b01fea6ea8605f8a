"""How 8-bit flow is stored: as JPEG pictures in a folder, or as one grey H.264 file."""

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Protocol

import av
import torch
from PIL import Image
from torch import Tensor


class FlowWriter(Protocol):
    """An open store for the flow of one video; ``count`` fields were written."""

    suffix: ClassVar[str]
    qualities: ClassVar[range]
    count: int

    def __init__(self, path: Path, *, fps: float, quality: int) -> None: ...
    def write(self, levels: Tensor) -> None:
        """Append fields. Shape: uint8 (T, 2, H, W)."""

    def __enter__(self) -> "FlowWriter": ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class JpegFolder:
    """``flow_x_00001.jpg`` and ``flow_y_00001.jpg`` for the motion from the first frame to the second, and so on."""

    suffix: ClassVar[str] = ""
    qualities: ClassVar[range] = range(1, 101)

    def __init__(self, path: Path, *, fps: float, quality: int) -> None:
        self.path = path
        self.quality = quality
        self.count = 0
        path.mkdir()

    def __enter__(self) -> "JpegFolder":
        return self

    def __exit__(self, *_: object) -> None:
        """Every picture is closed already."""

    def write(self, levels: Tensor) -> None:
        """Append fields. Shape: uint8 (T, 2, H, W)."""
        for field in levels:
            self.count += 1
            for axis, plane in zip("xy", field, strict=True):
                picture = Image.fromarray(plane.contiguous().numpy())
                picture.save(self.path / f"flow_{axis}_{self.count:05d}.jpg", quality=self.quality)


class GreyVideo:
    """One H.264 file without colour, full range of grey levels; every picture is x above y."""

    suffix: ClassVar[str] = ".mp4"
    qualities: ClassVar[range] = range(52)  # constant rate factors, 0 loses nothing

    def __init__(self, path: Path, *, fps: float, quality: int) -> None:
        self.count = 0
        self._container = av.open(str(path), "w", format="mp4")
        self._rate = Fraction(fps).limit_denominator(1001)
        self._quality = quality
        self._stream: Any = None

    def __enter__(self) -> "GreyVideo":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._stream is not None and kind is None:
            self._container.mux(self._stream.encode())
        self._container.close()

    def write(self, levels: Tensor) -> None:
        """Append fields. Shape: uint8 (T, 2, H, W)."""
        pictures = torch.cat([levels[:, 0], levels[:, 1]], dim=1)
        if self._stream is None:
            options = {"crf": str(self._quality), "preset": "medium", "g": "12"}  # short groups: random access
            self._stream = self._container.add_stream("libx264", rate=self._rate, options=options)
            self._stream.height, self._stream.width = pictures.shape[1:]
            self._stream.pix_fmt = "gray"
            self._stream.codec_context.color_range = 2  # JPEG's: 0..255
        for picture in pictures:
            frame = av.VideoFrame.from_ndarray(picture.numpy(), format="gray")
            frame.color_range = 2
            self._container.mux(self._stream.encode(frame))
            self.count += 1


WRITERS: dict[str, type[FlowWriter]] = {"jpeg": JpegFolder, "h264": GreyVideo}
