"""Write one HTML page about a model on a few videos: clip, answer over time, what the method sees, cost, provenance.

Example: `videozoo report bqn_tsm_resnet10_tiny.moving_digits clip.mp4 --out report.html`. The page needs no other file
and no network. A file that is no readable video is one line on standard error; the others are shown, and the exit
status is 1.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from videozoo.cli.durations import duration
from videozoo.cli.videos import find_videos
from videozoo.errors import SettingError, VideozooError

if TYPE_CHECKING:
    from videozoo.training.recognizer import ActionRecognizer
    from videozoo.visualization.line_chart import Chart
    from videozoo.visualization.report_page import ReportedVideo

TOP = 5  # answers that are shown
WINDOW, PARTS = 2.0, 4  # a window has so many seconds, or this part of a short video
OVERLAP, MOST_WINDOWS = 4, 32  # windows begin within a window, and at most about so many in a video


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo report`."""
    parser.add_argument("model", help="arch.tag, a folder, owner/repo[@revision], or an architecture (random weights)")
    parser.add_argument("videos", nargs="+", help="files, folders, glob patterns, or - for a list on standard input")
    parser.add_argument("--out", type=Path, default=Path("report.html"), help="page to write, .html")
    parser.add_argument("--window", type=duration, metavar="2s", help="what each point of the chart looks at")
    parser.add_argument("--stride", type=duration, metavar="500ms", help="from one point to the next")


def run(arguments: argparse.Namespace) -> int:
    """Write the page; 1 if any video failed."""
    check(arguments)
    videos = find_videos(arguments.videos)

    from rich.console import Console
    from rich.progress import track

    from videozoo.cli.models import load_or_create
    from videozoo.hub.save import write_whole
    from videozoo.visualization.report_page import report_page

    model = load_or_create(arguments.model)
    if model.clip_spec.modality != "rgb":
        raise SettingError(f"{arguments.model}: reads stored {model.clip_spec.modality}; a report is made of videos")
    errors = Console(stderr=True)
    shown: list[ReportedVideo] = []
    for video in track(videos, description="looking", console=errors, disable=not errors.is_terminal):
        try:
            shown.append(look_at(model, arguments.model, video, arguments.window, arguments.stride))
        except VideozooError as error:
            print(f"videozoo: {error}", file=sys.stderr)
    if not shown:
        return 1
    introduction = f"What {arguments.model} says about {len(shown)} of {len(videos)} videos, and what it sees of them."
    page = report_page(f"videozoo: {arguments.model}", introduction, shown, about_html(model, arguments.model))
    write_whole(arguments.out, page.encode())
    print(f"page: {arguments.out}")
    return 0 if len(shown) == len(videos) else 1


def check(arguments: argparse.Namespace) -> None:
    """Refuse what no page can follow, before any work."""
    out = arguments.out
    if out.suffix.lower() not in (".html", ".htm"):
        raise SettingError(f"--out {out}: must end in .html")
    if out.is_dir() or not out.parent.is_dir():
        raise SettingError(f"--out {out}: {'is a folder' if out.is_dir() else 'its folder does not exist'}")


def look_at(
    model: "ActionRecognizer", name: str, video: str, window: float | None, stride: float | None
) -> "ReportedVideo":
    """All that the page shows of one video.

    Raises:
        VideoError: when it is no readable video.
    """
    from videozoo.data.reading import read_views
    from videozoo.inference.predict import predict
    from videozoo.visualization.method_views import method_views
    from videozoo.visualization.prediction_page import Answer
    from videozoo.visualization.report_page import ReportedVideo
    from videozoo.visualization.small_clip import small_clip

    clip = small_clip(video)
    answer = predict(model, video, topk=TOP)
    window = window or min(WINDOW, clip.seconds / PARTS)
    stride = stride or max(window / OVERLAP, (clip.seconds - window) / MOST_WINDOWS)
    return ReportedVideo(
        name=Path(video).name,
        clip=clip,
        answer=Answer(f"{name}, the whole video", answer.top, answer.milliseconds),
        chart=over_time(model, video, window, stride, clip.seconds),
        views=method_views(model, read_views(video, model.clip_spec)[:1]),
    )


def over_time(model: "ActionRecognizer", video: str, window: float, stride: float, seconds: float) -> "Chart":
    """The labels that are likeliest in the mean of all windows, window by window."""
    from videozoo.inference.windows import predict_windows
    from videozoo.visualization.line_chart import Chart

    answers = list(predict_windows(model, video, window=window, stride=stride, topk=model.num_classes))
    likely = [dict(answer.top) for answer in answers]
    best = sorted(likely[0], key=lambda label: -sum(probabilities[label] for probabilities in likely))[:TOP]
    return Chart(
        f"Probability in windows of {window:.3g} s, one every {stride:.3g} s,",
        {label: [probabilities[label] for probabilities in likely] for label in best},
        across="second",
        places=[(answer.start + answer.end) / 2 for answer in answers],
        limits=(0.0, max(seconds, answers[-1].end)),
        highest=1.0,
    )


def about_html(model: "ActionRecognizer", name: str) -> str:
    """What is to be said about the model, as HTML; tags in names stay text."""
    from markdown_it import MarkdownIt

    from videozoo.cli.about import about

    return MarkdownIt("commonmark", {"html": False}).enable("table").render(about(model, name))
