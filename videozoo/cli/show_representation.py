"""Draw what a representation makes of a video: squeezed images, dynamic appearance, or what is busy.

Each row is a segment: its frames, their mean, and beside them the representation. Without a model, squeeze and dynamic
are first fitted to this video alone (`--fit` steps of their own objective), and busy is the filter as it starts.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videozoo.errors import SettingError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor, nn

    from videozoo.clip_spec import ClipSpec

# Last word of the verb -> name of the representation.
KINDS = {"squeeze": "temporal_squeeze", "dynamic": "pixel_projection", "busy": "band_pass"}
FRAMES = {"squeeze": 10, "dynamic": 8, "busy": 3}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo show squeeze`, `show dynamic` and `show busy`."""
    parser.set_defaults(kind=parser.prog.split()[-1])
    parser.add_argument("video", help="a video file, or a folder of pictures")
    parser.add_argument("out", type=Path, help="file to write, .png or .html")
    parser.add_argument("--model", help="take the representation out of this checkpoint, or architecture")
    parser.add_argument("--segments", type=int, default=4, help="parts of the video that are shown")
    parser.add_argument("--frames", type=int, default=None, help="frames of a segment, for squeeze and dynamic")
    parser.add_argument("--size", type=int, default=224, help="pixels a side")
    parser.add_argument("--fit", type=int, default=60, help="steps without a model")


def run(arguments: argparse.Namespace) -> int:
    """Write the picture or page."""
    check(arguments)

    import torch

    from videozoo.data.reading import read_views
    from videozoo.visualization.images import data_url
    from videozoo.visualization.segment_sheets import band_pass_kernels, segment_sheet

    torch.manual_seed(0)
    model, representation, spec = chosen_representation(arguments)
    clip = read_views(arguments.video, spec)[:1]
    if model is None and arguments.fit and hasattr(representation, "forward_with_loss"):
        fit(representation, clip, arguments.fit)
    pictures = {f"{arguments.kind} of {Path(arguments.video).name}": segment_sheet(representation, clip, spec)}
    if model is not None and arguments.kind == "busy":
        pictures["kernels at the start of training and now"] = band_pass_kernels(model, representation)
    if arguments.out.suffix.lower() == ".html":
        from html import escape

        body = "".join(f'<h2>{escape(text)}</h2><img src="{data_url(image)}">' for text, image in pictures.items())
        arguments.out.write_text(f'<!doctype html>\n<meta charset="utf-8"><title>videozoo</title>{body}\n')
    else:
        stacked(list(pictures.values())).save(arguments.out)
    print(f"picture: {arguments.out}")
    return 0


def check(arguments: argparse.Namespace) -> None:
    """Refuse settings that no drawing can follow."""
    if arguments.out.suffix.lower() not in (".png", ".html"):
        raise SettingError(f"{arguments.out}: must end in .png or .html")
    for name, least in (("segments", 1), ("size", 16), ("fit", 0)):
        if getattr(arguments, name) < least:
            raise SettingError(f"--{name} {getattr(arguments, name)}: must be at least {least}")
    if arguments.frames is not None and (arguments.kind == "busy" or arguments.model):
        raise SettingError(f"--frames {arguments.frames}: is for squeeze and dynamic without a model")


def chosen_representation(arguments: argparse.Namespace) -> tuple[Any, "nn.Module", "ClipSpec"]:
    """The model or None, its representation or a fresh one, and the clip to read for it."""
    from dataclasses import replace

    from videozoo.cli.models import load_or_create
    from videozoo.clip_spec import ClipSpec
    from videozoo.representations import REPRESENTATIONS
    from videozoo.visualization.segment_sheets import input_representation

    kind = REPRESENTATIONS[KINDS[arguments.kind]]
    if arguments.model:
        model = load_or_create(arguments.model)
        found = input_representation(model)
        if not isinstance(found, kind):
            raise SettingError(f"{arguments.model}: has no {KINDS[arguments.kind]} at its input")
        spec = model.clip_spec
        length = spec.frames_per_segment
        return model, found, replace(spec, frames=arguments.segments * length)
    length = arguments.frames or FRAMES[arguments.kind]
    module = kind() if arguments.kind == "busy" else kind(frames=length)
    frames = arguments.segments * length
    size = arguments.size
    return None, module, ClipSpec(frames=frames, size=size, resize=size, frames_per_segment=length)


def fit(representation: Any, clip: "Tensor", steps: int) -> None:
    """Train the representation's own objective on quarters of this clip."""
    import torch

    optimizer = torch.optim.AdamW(representation.parameters(), lr=1e-2)
    side = max(16, clip.shape[-1] // 2)
    representation.train()
    for _ in range(steps):
        top, left = (int(torch.randint(0, clip.shape[-1] - side + 1, ())) for _ in range(2))
        _, loss = representation.forward_with_loss(clip[..., top : top + side, left : left + side])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def stacked(pictures: "list[Image.Image]") -> "Image.Image":
    """Pictures below each other."""
    from PIL import Image

    width = max(picture.width for picture in pictures)
    whole = Image.new("RGB", (width, sum(picture.height for picture in pictures)), "white")
    top = 0
    for picture in pictures:
        whole.paste(picture, (0, top))
        top += picture.height
    return whole
