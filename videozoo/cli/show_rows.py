"""What `videozoo show clusters`, `snippets` and `weights` share: a video's frames above one row or more a model."""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from videozoo.errors import SettingError

if TYPE_CHECKING:
    from torch import Tensor

    from videozoo.training.recognizer import ActionRecognizer
    from videozoo.visualization.timeline import Row


def add_picture_arguments(parser: argparse.ArgumentParser, default_model: str, *, target: bool = True) -> None:
    """The video, the picture, the models, and with ``target`` the class."""
    parser.add_argument("video", help="a video file, or a folder of pictures")
    parser.add_argument("out", type=Path, help="picture to write, .png or .jpg")
    parser.add_argument(
        "--model", action="append", help=f"checkpoint, or an architecture (random weights); default {default_model}"
    )
    if target:
        parser.add_argument("--class", dest="target", type=int, default=None, help="class number (default: the best)")


def draw_rows(
    arguments: argparse.Namespace,
    default_model: str,
    frames: "Callable[[ActionRecognizer], int]",
    rows: "Callable[[ActionRecognizer, Tensor, str], Sequence[Row]]",
) -> int:
    """Write the picture: for every model, rows of a clip of so many frames spread over the video.

    Raises:
        SettingError: when the models do not look at equally many frames.
    """
    from videozoo.cli.models import load_or_create
    from videozoo.visualization.frame_choice import read_evenly, shown_frames
    from videozoo.visualization.images import save_picture
    from videozoo.visualization.timeline import timeline

    shown: Tensor | None = None
    drawn: list[Row] = []
    for name in arguments.model or [default_model]:
        model = load_or_create(name)
        clip = read_evenly(arguments.video, model.clip_spec, frames(model))
        own = shown_frames(clip, model.clip_spec)
        shown = own if shown is None else shown
        if len(own) != len(shown):
            raise SettingError(f"{name}: {len(own)} segments; the models before it have {len(shown)}")
        drawn += rows(model, clip, name)
    assert shown is not None
    save_picture(timeline(Path(arguments.video).name, shown, drawn), arguments.out)
    print(f"picture: {arguments.out}")
    return 0
