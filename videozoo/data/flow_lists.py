"""A list of videos as the list of their stored flow."""

import json
from dataclasses import replace
from pathlib import Path

from videozoo.clip_spec import ClipSpec
from videozoo.data.annotations import Annotations
from videozoo.data.flow_extraction import SETTINGS_FILE
from videozoo.data.flow_writers import WRITERS
from videozoo.data.video_files import SUFFIXES
from videozoo.errors import AnnotationError, SettingError


def flow_list(listed: Annotations, root: Path, flow_root: Path, spec: ClipSpec) -> Annotations:
    """The same videos and labels, each path that of the flow that was extracted below ``flow_root``.

    ``root`` is the data set's folder, of which ``flow_root`` is the image; an image of the folder of videos inside it
    serves as well. A folder of flow that another program wrote has no note of its format: then it is JPEG, as TSN's.

    Raises:
        AnnotationError: when the note that extraction leaves is damaged.
        SettingError: when clips are timed in seconds, which flow stored as pictures does not know.
    """
    suffix = WRITERS[_format(flow_root)].suffix
    if not suffix and (listed.spans is not None or spec.sampling == "timed"):
        raise SettingError(f"{flow_root}: pictures have no frame rate, which seconds need; extract with --format h264")
    inside = listed.root.relative_to(root) if listed.root.is_relative_to(root) else Path()
    folder = flow_root / inside if (flow_root / inside).is_dir() else flow_root
    names = Annotations.build(folder, listed.classes, (_stem(path) + suffix for path in listed.paths()), [])
    return replace(names, labels=listed.labels, spans=listed.spans)


def _stem(path: str) -> str:
    stem, dot, suffix = path.rpartition(".")
    return stem if f"{dot}{suffix}".lower() in SUFFIXES else path


def _format(flow_root: Path) -> str:
    note = flow_root / SETTINGS_FILE
    if not note.is_file():
        return "jpeg"
    try:
        name = json.loads(note.read_text(encoding="utf-8"))["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise AnnotationError(f"{note}: not the note of a flow extraction ({error})") from error
    if name not in WRITERS:
        raise AnnotationError(f"{note}: format {name!r}, known are {', '.join(WRITERS)}")
    return name
