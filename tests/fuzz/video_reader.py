"""Fuzz of the video reader: any bytes give frames, or one VideozooError of one line that names the file.

python tests/fuzz/video_reader.py --minutes 10      (needs the extra `fuzz`)
"""

import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))  # the tests' own makers of videos

import atheris
from conftest import SHARED, moving_square
from made_videos import MADE, encode
from search import Target, main

with atheris.instrument_imports(include=["videozoo.data", "videozoo.clip_spec"]):
    from videozoo.clip_spec import ClipSpec, Views
    from videozoo.data.decoding import VideoReader
    from videozoo.data.reading import read_views
    from videozoo.errors import VideoError, VideozooError

LONGEST = 45_000  # bytes; the larger of the hostile files would only be slow
SPEC = ClipSpec(frames=4, size=16, resize=16)
PROTOCOL = Views(clips=2, crops=3)
WORDS = (
    b"ftyp moov trak mdia minf stbl stsd stts stsz stsc stco co64 ctts stss elst tkhd mdhd mvhd avcC mdat moof trun "
    b"RIFF AVI  hdrl avih strl strh strf movi idx1 00dc XVID H264 MJPG "
    b"\x1a\x45\xdf\xa3 \x18\x53\x80\x67 \x16\x54\xae\x6b \x1f\x43\xb6\x75 \x00\x00\x01\xb6 \x00\x00\x01\x20"
).split()
FURTHER = {  # beside those of the tests: what else people have
    "vp8.webm": ("libvpx", {}, {}),
    "vp9.mkv": ("libvpx-vp9", {}, {}),
    "fragments.mp4": ("libx264", {"g": "3"}, {"container_options": {"movflags": "frag_keyframe+empty_moov"}}),
    "index_in_front.mp4": ("libx264", {"g": "3"}, {"container_options": {"movflags": "faststart"}}),
    "still.gif": ("gif", {}, {"pix_fmt": "rgb8"}),
    "flash.flv": ("flv1", {}, {}),
    "windows.wmv": ("wmv2", {}, {}),
}

CASE = Path(tempfile.mkdtemp(dir="/dev/shm" if Path("/dev/shm").is_dir() else None)) / "case.mp4"


def seeds() -> Iterator[tuple[str, bytes]]:
    """Small sound videos of many kinds, and the hostile files beside the checkout."""
    with tempfile.TemporaryDirectory() as folder:
        made = {name: (codec, options, more) for name, (codec, options, more, _) in MADE.items()} | FURTHER
        for name, (codec, options, more) in made.items():
            more = {**more, "frames": moving_square(6, 48, 64)}
            yield name, encode(Path(folder) / name, codec, options, **more).read_bytes()
    hostile = SHARED / "data" / "clips" / "hostile"
    for path in sorted(hostile.glob("*.*")) if hostile.is_dir() else ():
        if path.suffix in (".mp4", ".avi") and path.stat().st_size <= LONGEST:
            yield f"hostile_{path.name}", path.read_bytes()


def check(data: bytes) -> None:
    """Read a file with these bytes in every way there is."""
    CASE.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for read in (_views, _frames, _all):
            try:
                read()
            except VideozooError as error:
                text = str(error)
                assert text.startswith(f"{CASE}: "), text
                assert "\n" not in text, text
                assert len(text) < 500, text


def _views() -> None:
    views = read_views(CASE, SPEC, PROTOCOL)
    assert views.shape == (6, 4, 3, 16, 16), views.shape
    assert views.isfinite().all()


def _frames() -> None:
    with VideoReader(CASE) as reader:
        count = reader.frame_count
        assert count > 0
        assert reader.fps > 0
        assert reader.rotation in (-270, -180, -90, 0, 90, 180, 270), reader.rotation
        try:
            frames = reader.frames([count - 1, 0, count // 2])
        except VideoError:  # damage that only shows now: the count is right afterwards
            count = reader.frame_count
            frames = reader.frames([count - 1, 0, count // 2])
        assert frames.shape[:2] == (3, 3), frames.shape
        assert frames.shape[2] > 0
        assert frames.shape[3] > 0


def _all() -> None:
    with VideoReader(CASE) as reader:
        assert sum(len(chunk) for chunk in reader.iterate(16)) > 0


if __name__ == "__main__":
    sys.exit(main(Target(check, seeds, LONGEST, WORDS)))
