"""Where the tests find reference data, and small real videos made on the spot."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

# The same examples in every run, however busy the machine; searching anew is what tests/fuzz is for.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

if "PYTEST_XDIST_WORKER" in os.environ:
    torch.set_num_threads(1)  # the processes share the cores, threads of each would fight for them

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"


def shared_path(relative: str) -> Path:
    """A file of the reference data beside the checkout; the test is skipped where it is absent."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"needs reference data: shared/{relative} is not beside the checkout")
    return path


@pytest.fixture(scope="session")
def shared():
    """The function that finds a file of the reference data, or skips."""
    return shared_path


@pytest.fixture(scope="session")
def reference():
    """Load one recorded file (.npz or .json) of shared/reference, or skip."""

    def load(relative: str):
        path = shared_path(f"reference/{relative}")
        return json.loads(path.read_text()) if path.suffix == ".json" else np.load(path)

    return load


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def write_video(path: Path, frames: np.ndarray, *, fps: int = 25, codec: str = "libx264") -> Path:
    """A real video file from uint8 frames (T, H, W, 3)."""
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options={"crf": "10"})
        stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        container.mux(stream.encode())
    return path


def moving_square(count: int = 40, height: int = 96, width: int = 128) -> np.ndarray:
    """Frames (T, H, W, 3) in which every frame differs: a square moves, the background brightens."""
    frames = np.zeros((count, height, width, 3), np.uint8)
    for i in range(count):
        frames[i] += np.uint8(20 + 3 * i % 120)
        left, top = (3 * i) % (width - 24), (2 * i) % (height - 24)
        frames[i, top : top + 24, left : left + 24] = (220, 60, 30)
    return frames


@pytest.fixture(scope="session")
def videos(tmp_path_factory) -> list[Path]:
    """Three short H.264 files of different lengths and shapes."""
    folder = tmp_path_factory.mktemp("videos")
    sizes = [(40, 96, 128), (17, 128, 96), (5, 80, 80)]
    return [write_video(folder / f"clip{i}.mp4", moving_square(*size)) for i, size in enumerate(sizes)]
