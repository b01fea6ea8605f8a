"""Optical flow of whole videos, written once as 8-bit pictures: a run that was killed goes on where it stopped.

Below the output folder every video ``a/b.avi`` becomes ``a/b/flow_x_00001.jpg``, ``flow_y_00001.jpg`` ... (the layout
of TSN; number i is the motion from frame i to frame i + 1, counted from 1), or one grey H.264 file ``a/b.mp4`` whose
pictures hold x above y. What is not finished has a name that ends in ``.partial``.
"""

import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from functools import lru_cache
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Literal

import torch
from torch import Tensor

from videozoo.data.decoding import VideoReader
from videozoo.data.flow_images import BOUND, encode_flow
from videozoo.data.flow_solvers import Solver, create_solver
from videozoo.data.flow_writers import WRITERS
from videozoo.data.transforms import resize_short_side
from videozoo.data.video_files import find_video_files
from videozoo.errors import SettingError, VideoError, VideozooError

Format = Literal["jpeg", "h264"]

CHUNK = 16  # frames in memory at a time
SETTINGS_FILE = "flow.json"


@dataclass(frozen=True)
class FlowSettings:
    """How flow is made; one output folder holds flow of one kind.

    ``solver`` is a resolved name; ``short_side`` (pixels) scales the frames before, none leaves them as they are;
    displacements beyond ``bound`` pixels are clipped; ``quality`` is JPEG's 1..100 or H.264's constant rate factor.
    """

    solver: str
    format: Format = "jpeg"
    bound: float = BOUND
    short_side: int | None = None
    quality: int = 95

    def __post_init__(self) -> None:
        if self.format not in WRITERS:
            raise SettingError(f"format {self.format!r}: must be one of {', '.join(WRITERS)}")
        allowed = WRITERS[self.format].qualities
        if self.quality not in allowed:
            raise SettingError(f"quality {self.quality} of {self.format}: must be {allowed[0]} to {allowed[-1]}")
        if self.bound <= 0:
            raise SettingError(f"bound {self.bound}: must be positive (pixels)")
        if self.short_side is not None and self.short_side < 16:
            raise SettingError(f"short side {self.short_side}: must be at least 16 pixels")


@dataclass(frozen=True)
class Task:
    """One video and the place of its flow."""

    video: Path
    target: Path


def plan(root: Path, out: Path, settings: FlowSettings) -> tuple[list[Task], int]:
    """The videos that are left to do, and how many are done.

    Raises:
        SettingError: when there are no videos, two would share one place, or the folder holds flow of another kind.
    """
    videos = find_video_files(root)
    if not videos:
        raise SettingError(f"{root}: no videos in this folder")
    suffix = WRITERS[settings.format].suffix
    targets: dict[Path, Path] = {}
    for video in videos:
        target = out / video.relative_to(root).with_suffix(suffix)
        if target in targets:
            raise SettingError(f"{video} and {targets[target]} would both be written to {target}")
        targets[target] = video
    _remember(out, settings)
    tasks = [Task(video, target) for target, video in targets.items() if not target.exists()]
    return tasks, len(targets) - len(tasks)


def _remember(out: Path, settings: FlowSettings) -> None:
    """Note the settings in the output folder, or compare them with those noted there."""
    note = out / SETTINGS_FILE
    wanted = asdict(settings)
    if not note.exists():
        out.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps(wanted, indent=2) + "\n", encoding="utf-8")
        return
    found = json.loads(note.read_text(encoding="utf-8"))
    for name, value in wanted.items():
        if found.get(name) != value:
            raise SettingError(f"{out} holds flow with {name} {found.get(name)!r}, not {value!r}: take another folder")


def extract(
    tasks: list[Task], settings: FlowSettings, *, workers: int = 1, device: str = "cpu"
) -> Iterator[tuple[Task, str | None]]:
    """Do the tasks; each is handed back when it ends, with the error in one line if it failed."""
    if workers <= 1:
        for task in tasks:
            yield task, _extract_one(task, settings, device)
        return
    # Forked children would inherit the threads' locks of torch and OpenCV, and no GPU.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_start_worker) as pool:
        futures = {pool.submit(_extract_one, task, settings, device): task for task in tasks}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _start_worker() -> None:
    """Each worker has a core of its own, and ends with its parent: a run that goes on writes under the same names."""
    Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    try:
        import cv2
    except ImportError:
        return
    cv2.setNumThreads(1)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _extract_one(task: Task, settings: FlowSettings, device: str) -> str | None:
    partial = task.target.with_name(task.target.name + ".partial")
    _remove(partial)
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        with VideoReader(task.video) as reader:
            writer = WRITERS[settings.format](partial, fps=reader.fps, quality=settings.quality)
            with writer:
                for flow in flow_of_video(reader, _solver(settings.solver, device), settings.short_side):
                    writer.write(encode_flow(flow, settings.bound))
            if not writer.count:
                raise VideoError(f"{task.video}: has one frame, flow needs two")
    except VideozooError as error:
        _remove(partial)
        return str(error)
    os.replace(partial, task.target)
    return None


@lru_cache(maxsize=1)
def _solver(name: str, device: str) -> Solver:
    """One solver a process."""
    return create_solver(name, device)


def flow_of_video(reader: VideoReader, solver: Solver, short_side: int | None = None) -> Iterator[Tensor]:
    """Flow between all consecutive frames of a video, some at a time. Shape: float32 (<= chunk, 2, H, W), pixels."""
    last: Tensor | None = None
    for frames in reader.iterate(CHUNK):
        if short_side is not None:
            frames = resize_short_side(frames, short_side, antialias=True)
        joined = frames if last is None else torch.cat([last, frames])
        last = frames[-1:]
        if len(joined) > 1:
            yield solver(joined)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
