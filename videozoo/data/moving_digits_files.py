"""Moving digits as real video files with their truth beside them."""

import csv
import json
import os
from collections.abc import Iterable
from dataclasses import asdict
from io import StringIO
from pathlib import Path

import av
from rich.console import Console
from rich.progress import track
from torch import Tensor

from videozoo.data.digit_set import FPS, DigitSet
from videozoo.data.moving_digits import LABELS
from videozoo.errors import SettingError

SETTINGS, ANNOTATIONS, RELEVANCE = "moving_digits.json", "annotations.csv", "relevance.csv"
VIDEO_PATTERN = "digits_[0-9]*.mp4"
PARTIAL = ".partial"  # at the end of the name of a file that is being written
# One thread and no time of day anywhere: the same frames give the same bytes.
ENCODER = {"crf": "20", "preset": "medium", "threads": "1"}
CONTAINER = {"fflags": "+bitexact", "movflags": "+faststart"}


def write_digit_videos(directory: str | Path, videos: int, seed: int, **settings: object) -> list[Path]:
    """Write videos 0 to ``videos`` - 1 of ``DigitSet(seed, **settings)`` as H.264 mp4 files, and return them in order.

    The same settings give the same bytes on one machine. Layout: ``CLASS/digits_NNNNN.mp4``; ``annotations.csv`` with
    path and label; ``relevance.csv`` with path, frame, relevant (1 or 0) and kind of every frame;
    ``moving_digits.json`` with the settings. The two lists are written last, so a folder that has them is complete. A
    folder made earlier by this function is made anew.

    Raises:
        SettingError: when the folder holds anything else, or a setting is out of range.
    """
    digits = DigitSet(seed, **settings)  # type: ignore[arg-type]
    if videos < 1:
        raise SettingError(f"videos {videos}: must be at least 1")
    directory = Path(directory)
    _clear(directory)
    made = json.dumps({"videos": videos, **asdict(digits), "fps": FPS, "labels": LABELS}, indent=2)
    _write_text(directory / SETTINGS, made + "\n")

    files: list[Path] = []
    annotations: list[tuple[object, ...]] = [("path", "label")]
    relevance: list[tuple[object, ...]] = [("path", "frame", "relevant", "kind")]
    console = Console(stderr=True)
    for index in track(
        range(videos), description="writing videos", console=console, disable=not console.is_terminal, transient=True
    ):
        video = digits.video(index)
        name = f"{LABELS[video.label]}/digits_{index:05d}.mp4"
        files.append(directory / name)
        files[-1].parent.mkdir(exist_ok=True)
        write_video(files[-1], video.frames, fps=FPS)
        annotations.append((name, LABELS[video.label]))
        truth = zip(video.relevance.int().tolist(), video.kinds, strict=True)
        relevance.extend((name, frame, relevant, kind) for frame, (relevant, kind) in enumerate(truth))
    _write_csv(directory / RELEVANCE, relevance)
    _write_csv(directory / ANNOTATIONS, annotations)
    return files


def write_video(path: Path, frames: Tensor, *, fps: float) -> None:
    """Encode frames (T, 3, H, W) uint8, H and W even, as an H.264 mp4 file; whole or not at all."""
    partial = path.with_name(path.name + PARTIAL)
    with av.open(str(partial), "w", format="mp4", options=CONTAINER) as container:
        stream = container.add_stream("libx264", rate=round(fps), options=ENCODER)
        stream.height, stream.width = frames.shape[-2:]
        stream.pix_fmt = "yuv420p"
        for pixels in frames.permute(0, 2, 3, 1).contiguous().numpy():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    os.replace(partial, path)


def _clear(directory: Path) -> None:
    """Make the folder, or empty one that holds an earlier set and nothing else."""
    if directory.exists() and not directory.is_dir():
        raise SettingError(f"{directory}: is a file, a new or empty folder is needed")
    directory.mkdir(parents=True, exist_ok=True)
    ours = {directory / name for name in (SETTINGS, ANNOTATIONS, RELEVANCE)}
    for label in LABELS:
        ours.update((directory / label).glob(VIDEO_PATTERN))
    present = {path for path in directory.rglob("*") if path.is_symlink() or not path.is_dir()}
    strange = sorted(path for path in present - ours if not path.name.endswith(PARTIAL))
    if strange or (present and directory / SETTINGS not in present):
        first = (strange or sorted(present))[0]
        raise SettingError(f"{directory}: not empty, and not a folder of moving digits alone: it holds {first}")
    for path in sorted(present):  # the lists first: what lacks them is not complete
        if path.name != SETTINGS:  # stays to the end: an interrupted clearing can be begun again
            path.unlink()


def _write_csv(path: Path, rows: Iterable[tuple[object, ...]]) -> None:
    text = StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    _write_text(path, text.getvalue())


def _write_text(path: Path, text: str) -> None:
    partial = path.with_name(path.name + PARTIAL)
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
