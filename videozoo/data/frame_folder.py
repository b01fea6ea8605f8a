"""A video that was stored as a folder of numbered pictures, as Something-Something V1 is distributed."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image

from videozoo.errors import VideoError

SUFFIXES = (".jpg", ".jpeg", ".png")


class FrameFolder:
    """The interface of VideoReader over a folder of pictures, in the order of their names.

    ``fps`` is what the data set says, since pictures carry no time.
    """

    def __init__(self, path: Path | str, *, fps: float = 12.0) -> None:
        self.path = Path(path)
        self.fps = fps
        self.problems: list[str] = []
        self._pictures = sorted(p.name for p in self.path.iterdir() if p.suffix.lower() in SUFFIXES)
        if not self._pictures:
            raise VideoError(f"{path}: no pictures in this folder (looked for {' '.join(SUFFIXES)})")

    def __enter__(self) -> "FrameFolder":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held open."""

    @property
    def frame_count(self) -> int:
        """How many pictures there are."""
        return len(self._pictures)

    def frames(self, indices: Sequence[int], *, change: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """The pictures at these places, each (3, H, W) passed through ``change``. Shape: uint8 (T, 3, H, W).

        Raises:
            VideoError: naming the picture that cannot be read, or an index that is out of range.
        """
        read: dict[int, Tensor] = {}
        for index in set(indices):
            if not 0 <= index < len(self._pictures):
                raise VideoError(f"{self.path}: frame {index} of {len(self._pictures)} was asked for")
            picture = self.path / self._pictures[index]
            try:
                read[index] = decode_image(str(picture), mode=ImageReadMode.RGB)
                if change is not None:
                    read[index] = change(read[index])
            except RuntimeError as error:
                raise VideoError(f"{picture}: not a readable picture ({str(error).splitlines()[0]})") from error
        if len({frame.shape for frame in read.values()}) > 1:
            raise VideoError(f"{self.path}: its pictures differ in size")
        return torch.stack([read[index] for index in indices])
