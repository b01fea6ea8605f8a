"""The videos of a fine-tuning: checked before anything is trained, and kept in memory where they fit."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from videozoo.clip_spec import ClipSpec, Views
from videozoo.data.annotations import Annotations
from videozoo.data.datamodules import DATA_MODULES
from videozoo.data.datamodules.base import Part, VideoDataModule
from videozoo.data.datamodules.video_folder import VideoFolder
from videozoo.data.memory import VideoMemory, available_memory
from videozoo.errors import AnnotationError, SettingError, UnknownNameError, VideoError
from videozoo.finetuning.settings import FineTuning

UNBALANCED = 2.0  # the largest class has so many times the clips of the smallest
MEMORY_SHARE = 0.25  # of the free memory, for decoded videos
SHOWN = 3  # names in one error
PARTS: tuple[Part, ...] = ("train", "val", "test")

Progress = Callable[[Iterable[Path]], Iterable[Path]]


def open_videos(settings: FineTuning, spec: ClipSpec, **options: Any) -> VideoDataModule:
    """The data module, whose classes and parts make sense.

    Raises:
        UnknownNameError: when there is no such kind of data set.
        SettingError: when the kind does not take a setting.
        AnnotationError: for one class, an empty one, more classes than clips, no clips to validate with.
    """
    if settings.dataset not in DATA_MODULES:
        raise UnknownNameError("data set", settings.dataset, DATA_MODULES)
    kind = DATA_MODULES[settings.dataset]
    own: dict[str, Any] = {"holdout": settings.holdout} if kind is VideoFolder else {}
    own |= {"batch_size": settings.batch_size, "seed": settings.seed, "flip": settings.flip}
    own |= {"test_views": Views(average=spec.views.average)}
    try:
        data = kind(settings.folder, clip_spec=spec, **own | options | settings.dataset_settings)
    except TypeError as error:
        raise SettingError(f"{settings.dataset}: {error}") from error
    check_classes(data, settings.folder)
    data.balance = settings.balance == "yes" or (settings.balance == "auto" and is_unbalanced(data))
    return data


def check_classes(data: VideoDataModule, folder: str) -> None:
    """Say what is wrong with the classes of a training part and its validation.

    Raises:
        AnnotationError: in one line.
    """
    train, val = data.annotations("train"), data.annotations("val")
    if train.multilabel:
        raise AnnotationError(f"{folder}: videos with several labels cannot be fine-tuned on")
    classes = len(train.classes)
    if classes < 2:
        raise AnnotationError(f"{folder}: one class ({train.classes[0]}), at least two are needed")
    clips = len(train) + (0 if same_videos(train, val) else len(val))
    if clips < classes:
        raise AnnotationError(f"{folder}: {classes} classes, but {clips} clips")
    empty = [name for name, count in zip(train.classes, train.class_counts().tolist(), strict=True) if count == 0]
    if empty:
        raise AnnotationError(f"{folder}: no clip of class {', '.join(empty[:SHOWN])}; add some or remove the folder")
    if not len(val):
        raise AnnotationError(f"{folder}: no clip is left for validation; give each class two or more, or a val folder")


def is_unbalanced(data: VideoDataModule) -> bool:
    """Whether some classes have many more training clips than others."""
    counts = data.annotations("train").class_counts()
    return bool(counts.max() >= UNBALANCED * counts.min())


def same_videos(first: Annotations, second: Annotations) -> bool:
    """Whether two parts are the same list."""
    return first is second or (first.root == second.root and list(first.paths()) == list(second.paths()))


def videos_of(data: VideoDataModule) -> list[Path]:
    """Every file of every part, once."""
    parts = [data.annotations(part) for part in PARTS]
    return list(dict.fromkeys(part.path(index) for part in parts for index in range(len(part))))


def read_each(data: VideoDataModule, progress: Progress, *, allow_unreadable: bool) -> int:
    """Read a frame of every video; how many bytes they are, decoded and resized.

    Raises:
        VideoError: naming the unreadable ones, unless they are allowed and some videos are readable.
    """
    size, problems, files = 0, [], videos_of(data)
    for path in progress(files):
        try:
            with data.opener(path) as source:
                frame = source.frames([source.frame_count // 2])[0]
                scale = min(1.0, data.clip_spec.resize / min(frame.shape[-2:]))
                size += round(source.frame_count * frame.numel() * scale**2)
        except VideoError as error:
            problems.append(str(error))
    if problems and (not allow_unreadable or len(problems) == len(files)):
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        hint = "" if len(problems) == len(files) else "; --allow-unreadable goes on without them"
        raise VideoError(f"{len(problems)} of {len(files)} videos cannot be read: {problems[0]}{more}{hint}")
    return size


def fits_in_memory(data: VideoDataModule, size: int) -> bool:
    """Whether so many bytes of decoded videos may be kept, and are not kept already."""
    held = isinstance(data.opener, VideoMemory) or data.clip_spec.modality == "flow"
    return not held and size <= MEMORY_SHARE * available_memory()
