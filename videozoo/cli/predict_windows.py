"""What `videozoo predict --window` does: rows of answers while a long video or a stream passes, and a plot."""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from videozoo.cli.durations import duration
from videozoo.cli.window_rows import ROWS, Rows
from videozoo.errors import SettingError, VideoError

if TYPE_CHECKING:
    from torch import Tensor

    from videozoo.data.container import Opening
    from videozoo.inference.windows import WindowPrediction
    from videozoo.training.recognizer import ActionRecognizer

NEEDS_WINDOW = ("stride", "output", "plot", "input_format", "input_option", "reconnect", "timeout")
TIMEOUT = 10.0  # seconds
RECONNECT = 3


def add_window_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo predict` for long videos and streams."""
    group = parser.add_argument_group(
        "long videos and streams",
        "With --window, one source is answered window by window: a file of any length, an address that FFmpeg opens "
        "(http, rtsp, udp, tcp), or a device. Rows come as they are known; json is then one object a line (JSON "
        "Lines), srt has one subtitle for as long as the best label stays. Ctrl-C keeps what is there.",
    )
    group.add_argument("--window", type=duration, metavar="2s", help="length of a window: 2s, 500ms, 1.5, 1m")
    group.add_argument("--stride", type=duration, metavar="1s", help="from one window to the next (default: a window)")
    group.add_argument("--output", metavar="FILE", type=Path, help="write the rows there")
    group.add_argument(
        "--plot", metavar="FILE", type=Path, help="also draw the likeliest classes over time, .png or .jpg"
    )
    group.add_argument(
        "--input-format", metavar="NAME", help="FFmpeg's name of a device's format: v4l2 for /dev/video0"
    )
    group.add_argument(
        "--input-option", metavar="NAME=VALUE", action="append", help="an option of FFmpeg's, as rtsp_transport=tcp"
    )
    group.add_argument(
        "--reconnect", type=int, metavar="N", help=f"times that a stream is opened again after a break ({RECONNECT})"
    )
    group.add_argument(
        "--timeout", type=duration, metavar="10s", help="time without data after which a stream counts as broken (10s)"
    )


def check_window_arguments(arguments: argparse.Namespace) -> None:
    """Refuse what does not go together.

    Raises:
        SettingError: naming the flags.
    """
    if arguments.window is None:
        needy = [name for name in NEEDS_WINDOW if getattr(arguments, name) is not None]
        if needy or arguments.format == "srt":
            flag = f"--{needy[0].replace('_', '-')}" if needy else "--format srt"
            raise SettingError(f"{flag} needs --window")
        return
    if len(arguments.videos) != 1 or arguments.videos == ["-"]:
        raise SettingError(f"--window takes one file, address or device, not {' '.join(arguments.videos)}")
    if arguments.views != "1x1" or arguments.scores:
        raise SettingError("--window answers one view a window: --views and --scores do not go with it")
    if arguments.reconnect is not None and arguments.reconnect < 0:
        raise SettingError(f"--reconnect {arguments.reconnect}: must be at least 0")
    _check_files(arguments.output, arguments.plot)


def _check_files(output: Path | None, plot: Path | None) -> None:
    """Whether what will be written at the end can be, as far as this shows before."""
    for path in filter(None, (output, plot)):
        if path.is_dir() or not path.parent.is_dir():
            raise SettingError(f"{path}: must be a file in a folder that exists")
    if plot and plot.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise SettingError(f"--plot {plot}: must end in .png or .jpg")


def run_windows(arguments: argparse.Namespace) -> int:
    """Write the rows, then the plot and a line about the speed; 1 if the source broke off for good."""
    opening = _opening(arguments)

    from videozoo import load_model
    from videozoo.inference.windows import predict_windows

    model = load_model(arguments.model, device=arguments.device)
    journal = Journal(arguments, model)
    start = time.perf_counter()
    answers = predict_windows(
        model,
        arguments.videos[0],
        window=arguments.window,
        stride=arguments.stride or arguments.window,
        topk=arguments.topk,
        precision=arguments.precision,
        batch_size=arguments.batch_size,
        opening=opening,
        reconnect=RECONNECT if arguments.reconnect is None else arguments.reconnect,
    )
    try:
        for answer in answers:
            journal.add(answer)
    except VideoError as error:
        if journal.windows == 0:
            raise
        print(f"videozoo: {error}", file=sys.stderr)
        return 1
    finally:
        journal.close(time.perf_counter() - start)
    return 0


def _opening(arguments: argparse.Namespace) -> "Opening":
    options = {}
    for setting in arguments.input_option or ():
        name, equals, value = setting.partition("=")
        if not (name and equals):
            raise SettingError(f"--input-option {setting}: must be NAME=VALUE")
        options[name] = value
    from videozoo.data.container import Opening

    return Opening(arguments.input_format, options, arguments.timeout or TIMEOUT)


class Journal:
    """Where answers go: rows on standard output or in a file, which is made for the first one; and the plot."""

    def __init__(self, arguments: argparse.Namespace, model: "ActionRecognizer") -> None:
        self.windows = 0
        self._arguments = arguments
        self._model = model
        self._seconds = 0.0
        self._stream: TextIO = sys.stdout
        self._rows: Rows | None = None
        self._shown: list[tuple[float, float, Tensor]] = []

    def add(self, answer: "WindowPrediction") -> None:
        """Write one more window."""
        if self._rows is None:
            if self._arguments.output:
                self._stream = self._arguments.output.open("w", newline="", encoding="utf-8")
            self._rows = ROWS[self._arguments.format](self._stream)
        self._rows.write(answer)
        self._stream.flush()
        self.windows += 1
        self._seconds = answer.end
        if self._arguments.plot:
            from videozoo.inference.predict import probabilities

            self._shown.append((answer.start, answer.end, probabilities(self._model, answer.scores)))

    def close(self, seconds: float) -> None:
        """Write what waits, the plot, and on standard error how fast it went; nothing where nothing was answered."""
        if self._rows is None:
            return
        self._rows.finish()
        self._stream.flush()
        if self._stream is not sys.stdout:
            self._stream.close()
        speed = f"{self._seconds:.1f} s of video in {seconds:.1f} s: {self._seconds / seconds:.2f} times real time"
        print(f"videozoo: {self.windows} windows, {speed}", file=sys.stderr)
        if self._arguments.plot:
            self._draw()

    def _draw(self) -> None:
        from videozoo.visualization.answer_plot import Answers, answer_plot
        from videozoo.visualization.images import save_picture

        title = f"{self._arguments.videos[0]}: {self._arguments.model}"
        answers = Answers.of(self._model.labels, self._shown)
        save_picture(answer_plot(title, answers), self._arguments.plot)
