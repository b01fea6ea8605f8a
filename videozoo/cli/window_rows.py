"""Answers over time as rows of text, each written as soon as it is known: csv, json, srt, table."""

import csv
import json
from typing import TYPE_CHECKING, Protocol, TextIO

if TYPE_CHECKING:
    from videozoo.inference.windows import WindowPrediction

NEAR = 1e-6  # seconds between two windows that follow one another


class Rows(Protocol):
    """Takes answers one by one; ``finish`` writes what still waits."""

    def write(self, answer: "WindowPrediction") -> None:
        """One more window."""

    def finish(self) -> None:
        """No more come."""


class CsvRows:
    """A row an answer: start, end (seconds), rank, label, probability."""

    def __init__(self, stream: TextIO) -> None:
        self._writer = csv.writer(stream, lineterminator="\n")
        self._writer.writerow(["start", "end", "rank", "label", "probability"])

    def write(self, answer: "WindowPrediction") -> None:
        """A row a label of the window."""
        for rank, (label, probability) in enumerate(answer.top, start=1):
            self._writer.writerow([f"{answer.start:.3f}", f"{answer.end:.3f}", rank, label, f"{probability:.6f}"])

    def finish(self) -> None:
        """Nothing waits."""


class JsonRows:
    """A line a window (JSON Lines), each an object with start, end (seconds) and top."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, answer: "WindowPrediction") -> None:
        """One line."""
        top = [{"label": label, "probability": probability} for label, probability in answer.top]
        row = {"start": round(answer.start, 3), "end": round(answer.end, 3), "top": top}
        self._stream.write(json.dumps(row, ensure_ascii=False) + "\n")

    def finish(self) -> None:
        """Nothing waits."""


class SrtRows:
    """Subtitles, one for as long as the best label stays the same, with its mean probability.

    They do not overlap: one ends where the window begins that says something else.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._number = 0
        self._label = ""
        self._start = self._end = 0.0
        self._probabilities: list[float] = []

    def write(self, answer: "WindowPrediction") -> None:
        """Begin a subtitle, or let the one that is open go on."""
        label, probability = answer.top[0]
        if self._probabilities and (label != self._label or answer.start > self._end + NEAR):
            self._end = min(self._end, answer.start)
            self.finish()
        if not self._probabilities:
            self._label, self._start = label, answer.start
        self._end = answer.end
        self._probabilities.append(probability)

    def finish(self) -> None:
        """Write the subtitle that is open."""
        if not self._probabilities:
            return
        self._number += 1
        mean = sum(self._probabilities) / len(self._probabilities)
        text = " ".join(self._label.split())  # an empty line would end the subtitle
        span = f"{srt_time(self._start)} --> {srt_time(self._end)}"
        self._stream.write(f"{self._number}\n{span}\n{text} {mean:.2f}\n\n")
        self._probabilities = []


class TableRows:
    """A line a window for people to read."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, answer: "WindowPrediction") -> None:
        """One line with the window's labels, the best first."""
        answers = ", ".join(f"{label} {probability:.3f}" for label, probability in answer.top)
        self._stream.write(f"{clock(answer.start)} - {clock(answer.end)}  {answers}\n")

    def finish(self) -> None:
        """Nothing waits."""


ROWS: dict[str, type[CsvRows | JsonRows | SrtRows | TableRows]] = {
    "csv": CsvRows,
    "json": JsonRows,
    "srt": SrtRows,
    "table": TableRows,
}


def clock(seconds: float, point: str = ".") -> str:
    """Hours, minutes, seconds and milliseconds: 01:02:03.450."""
    milliseconds = round(1000 * seconds)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"


def srt_time(seconds: float) -> str:
    """The same with a comma, as subtitles have it."""
    return clock(seconds, ",")
