"""Frames as pictures: strips of thumbnails, and pictures that live inside an HTML page."""

import base64
from io import BytesIO
from pathlib import Path

from PIL import Image
from torch import Tensor

from videozoo.errors import SettingError


def to_image(frame: Tensor) -> Image.Image:
    """One uint8 frame (3, H, W) or (1, H, W) as a PIL picture."""
    array = frame.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)


def spread(count: int, wanted: int) -> list[int]:
    """Places spread evenly over ``count`` of something, at most ``wanted``."""
    wanted = min(wanted, count)
    return [int((i + 0.5) * count / wanted) for i in range(wanted)]


def film_strip(frames: Tensor, *, height: int = 96, gap: int = 3) -> Image.Image:
    """Frames side by side.

    Shape: uint8 (T, 3, H, W) -> a picture of ``height`` pixels.
    """
    pictures = [to_image(frame) for frame in frames]
    width = max(1, round(height * frames.shape[-1] / frames.shape[-2]))
    strip = Image.new("RGB", (len(pictures) * (width + gap) - gap, height), "white")
    for place, picture in enumerate(pictures):
        strip.paste(picture.resize((width, height), Image.Resampling.BILINEAR), (place * (width + gap), 0))
    return strip


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture in the format of its name's ending.

    Raises:
        SettingError: when the ending is no picture's, or the file cannot be written.
    """
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise SettingError(f"{path}: a picture's name must end in .png or .jpg")
    try:
        picture.save(path)
    except OSError as error:
        raise SettingError(f"{path}: cannot be written ({error.strerror or error})") from error


def data_url(picture: Image.Image) -> str:
    """The picture as text that an HTML page can show without another file."""
    buffer = BytesIO()
    picture.save(buffer, format="PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
