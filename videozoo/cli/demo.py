"""Write a few real videos, label them with the embedded checkpoints, and show the answers on a page.

Works without a network: the videos are the moving-digits set's (a digit moves up, down, left or right while other
frames distract), the weights come with the package.
"""

import argparse
import sys
import webbrowser
from pathlib import Path

from videozoo.cli.console import table_console
from videozoo.errors import SettingError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo demo`."""
    parser.add_argument("--out", type=Path, default=Path("videozoo-demo"), help="folder of the videos and the page")
    parser.add_argument("--videos", type=int, default=8, help="videos to write and label")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-open", action="store_true", help="do not open the page in a browser")


def run(arguments: argparse.Namespace) -> int:
    """Write, predict, print the table, write the page."""
    if arguments.videos < 1:
        raise SettingError(f"--videos {arguments.videos}: must be at least 1")

    import torch
    from rich.table import Table

    from videozoo import list_models, load_model
    from videozoo.data.decoding import VideoReader
    from videozoo.data.moving_digits_files import write_digit_videos
    from videozoo.visualization.images import film_strip
    from videozoo.visualization.prediction_page import Answer, Shown, prediction_page

    files = write_digit_videos(arguments.out / "videos", arguments.videos, arguments.seed, part="test")
    models = {name: load_model(name) for name in list_models(dataset="moving_digits", status="released")}
    answers = {name: model.predict(files, topk=3) for name, model in models.items()}

    table = Table("file", "truth", "model", "top-3 (probability)", "ms", box=None)
    shown = []
    for place, file in enumerate(files):
        truth = file.parent.name
        with VideoReader(file) as reader:
            frames = reader.frames(torch.linspace(0, reader.frame_count - 1, 16).round().long().tolist())
        said = [Answer(name, answers[name][place].top, answers[name][place].milliseconds) for name in models]
        shown.append(Shown(file.name, truth, film_strip(frames, height=64), said))
        for answer in said:
            top = ", ".join(f"{label} {probability:.3f}" for label, probability in answer.top)
            table.add_row(file.name, truth, answer.model, top, f"{answer.milliseconds:.0f}")
    table_console().print(table)

    right = sum(video.answers[0].top[0][0] == video.truth for video in shown)
    introduction = (
        f"{len(files)} videos of the moving-digits set: a digit moves up, down, left or right in some of 32 frames, "
        f"the others distract. {next(iter(models))} named {right} of {len(files)} rightly. Sixteen frames are shown."
    )
    page = arguments.out / "index.html"
    page.write_text(prediction_page("videozoo demo", introduction, shown), encoding="utf-8")
    print(f"page: {page}")
    if not arguments.no_open and sys.stdout.isatty():
        webbrowser.open(page.resolve().as_uri())
    return 0
