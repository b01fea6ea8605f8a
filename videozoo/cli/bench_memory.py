"""Resident memory of reading a short and a long video of the same pictures."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

# The high-water mark of this process alone: what getrusage says includes the parent from before the exec.
MEASURE = """
import sys
from pathlib import Path
import torch
from videozoo.data.decoding import VideoReader
with VideoReader(sys.argv[1]) as reader:
    count = reader.frame_count
    reader.frames([int(i * count / int(sys.argv[2])) for i in range(int(sys.argv[2]))])
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(count, int(status["VmHWM"].split()[0]) // 1024)
"""


def compare_reading_memory(video: str, frames: int) -> Any:
    """A table: the video repeated to about 10 seconds and to 10 minutes, each read in a process of its own."""
    from rich.table import Table

    table = Table("reading memory", "frames in the file", "peak resident MB", box=None)
    with tempfile.TemporaryDirectory() as folder:
        for name, seconds in (("10 s", 10), ("10 min", 600)):
            copy = repeat_video(video, Path(folder) / f"{seconds}.mp4", seconds)
            measured = subprocess.run(
                [sys.executable, "-c", MEASURE, str(copy), str(frames)], capture_output=True, text=True, check=True
            )
            table.add_row(name, *measured.stdout.split())
    return table


def repeat_video(source: str, target: Path, seconds: float) -> Path:
    """An H.264 file that shows the source again and again until ``seconds`` are full."""
    import av

    from videozoo.data.decoding import VideoReader

    with VideoReader(source) as reader:
        count, fps = reader.frame_count, reader.fps
        pictures = reader.frames(range(min(count, 300))).permute(0, 2, 3, 1).numpy()
    with av.open(str(target), "w") as container:
        stream = container.add_stream("libx264", rate=round(fps), options={"preset": "ultrafast"})
        stream.height, stream.width = pictures.shape[1] // 2 * 2, pictures.shape[2] // 2 * 2
        stream.pix_fmt = "yuv420p"
        for i in range(round(seconds * fps)):
            picture = pictures[i % len(pictures), : stream.height, : stream.width]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return target
