"""Label videos with a model given by name.

Examples: `videozoo predict clip.mp4 --model tsm_resnet10_tiny.moving_digits`, `videozoo predict clips/ --format csv`,
`find . -name '*.mp4' | videozoo predict - --format json`, `videozoo predict rtsp://HOST/PATH --window 2s --stride 1s`.
"""

import argparse
import csv
import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, TextIO

from videozoo.cli.console import table_console
from videozoo.cli.predict_windows import add_window_arguments, check_window_arguments, run_windows
from videozoo.cli.videos import find_videos
from videozoo.errors import SettingError

if TYPE_CHECKING:
    from videozoo.inference.predict import Prediction

DEFAULT_MODEL = "tsm_resnet10_tiny.moving_digits"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo predict`."""
    parser.add_argument("videos", nargs="+", help="files, folders, glob patterns, or - for a list on standard input")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="arch.tag, a folder, or owner/repo[@revision]")
    parser.add_argument("--topk", type=int, default=5, help="answers a video")
    parser.add_argument("--views", default="1x1", help="reported | 1x1 | CLIPSxCROPS such as 10x3")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps")
    parser.add_argument("--precision", choices=("float32", "bf16"), default="float32")
    parser.add_argument("--batch-size", type=int, default=8, help="clips that pass the network at once")
    parser.add_argument("--format", choices=("table", "json", "csv", "srt"), default="table")
    parser.add_argument("--scores", metavar="FILE", help="also write all classes' scores before softmax as csv")
    add_window_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the answers; 1 if any video failed."""
    for name in ("topk", "batch_size"):
        if getattr(arguments, name) < 1:
            raise SettingError(f"--{name.replace('_', '-')} {getattr(arguments, name)}: must be at least 1")
    check_window_arguments(arguments)
    if arguments.window is not None:
        return run_windows(arguments)
    videos = find_videos(arguments.videos)

    from rich.console import Console
    from rich.progress import track

    from videozoo import load_model
    from videozoo.inference.predict import Failure, predict_many

    model = load_model(arguments.model, device=arguments.device)
    answers = predict_many(
        model,
        videos,
        topk=arguments.topk,
        views=arguments.views,
        precision=arguments.precision,
        batch_size=arguments.batch_size,
    )
    errors = Console(stderr=True)
    predictions: list[Prediction] = []
    for answer in track(
        answers, total=len(videos), description="predicting", console=errors, disable=not errors.is_terminal
    ):
        if isinstance(answer, Failure):
            print(f"videozoo: {answer.error}", file=sys.stderr)
        else:
            predictions.append(answer)
    WRITERS[arguments.format](predictions, sys.stdout)
    if arguments.scores:
        _write_scores(predictions, model.labels, arguments.scores)
    return 0 if len(predictions) == len(videos) else 1


def write_table(predictions: Iterable["Prediction"], stream: TextIO) -> None:
    """One row a video for people to read."""
    from rich.table import Table

    table = Table("file", "answers (probability)", "ms", box=None)
    for prediction in predictions:
        answers = ", ".join(f"{label} {probability:.3f}" for label, probability in prediction.top)
        table.add_row(prediction.file, answers, f"{prediction.milliseconds:.0f}")
    table_console(stream).print(table)


def write_json(predictions: Iterable["Prediction"], stream: TextIO) -> None:
    """A list of objects with file, top and milliseconds."""
    rows = [
        {
            "file": prediction.file,
            "top": [{"label": label, "probability": probability} for label, probability in prediction.top],
            "milliseconds": round(prediction.milliseconds, 1),
        }
        for prediction in predictions
    ]
    json.dump(rows, stream, indent=2, ensure_ascii=False)
    stream.write("\n")


def write_csv(predictions: Iterable["Prediction"], stream: TextIO) -> None:
    """One row an answer: file, rank, label, probability."""
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["file", "rank", "label", "probability"])
    for prediction in predictions:
        for rank, (label, probability) in enumerate(prediction.top, start=1):
            writer.writerow([prediction.file, rank, label, f"{probability:.6f}"])


WRITERS = {"table": write_table, "json": write_json, "csv": write_csv}


def _write_scores(predictions: Iterable["Prediction"], labels: Iterable[str], path: str) -> None:
    """A row a video with the score of every class, as `videozoo fuse` reads it."""
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["file", *labels])
        for prediction in predictions:
            writer.writerow([prediction.file, *(repr(score) for score in prediction.scores.tolist())])
