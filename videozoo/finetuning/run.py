"""A fine-tuning from its settings to the folder it leaves behind."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from videozoo.clip_spec import ClipSpec
from videozoo.data.datamodules.base import VideoDataModule
from videozoo.errors import CheckpointError, VideoError
from videozoo.finetuning.comparison import beside_guessing, beside_rival, read_rival
from videozoo.finetuning.folder import (
    Owner,
    prepare_folder,
    read_curves,
    save_checkpoint_folder,
    write_curves,
    write_report,
    write_settings,
)
from videozoo.finetuning.outcome import Outcome, judge
from videozoo.finetuning.settings import Choice, FineTuning
from videozoo.finetuning.training import BEST, Device, Trained, new_model, train
from videozoo.finetuning.videos import Progress, fits_in_memory, open_videos, read_each, same_videos, videos_of
from videozoo.hub.schema import Checkpoint
from videozoo.hub.trained import read_training_run
from videozoo.training.recognizer import ActionRecognizer

ANY_CLIP = ClipSpec(8, 224, 256)  # a list of videos is the same for every clip


@dataclass(frozen=True)
class Machine:
    """What a training runs on, which does not change what it is."""

    device: Device
    workers: int | None = None
    memory: Choice = "auto"


@dataclass(frozen=True)
class Result:
    """The row of the checkpoint that was written, its answers, what they are worth, and whether it was stopped."""

    row: Checkpoint
    outcome: Outcome
    worth: list[str]
    stopped: bool


def finetune(
    settings: FineTuning,
    out: Path,
    machine: Machine,
    *,
    command: str,
    owner: Owner,
    resume: bool = False,
    compare: Path | None = None,
    allow_unreadable: bool = False,
    progress: Progress = lambda files: files,
    report: Callable[[str], None] = print,
) -> Result | None:
    """Train, judge the best epoch, write the checkpoint folder; None if it was stopped before the first epoch's end.

    ``compare`` is the folder of another training, beside which the report puts this one.
    Everything that can be wrong with the settings and the videos is said before training starts.

    Raises:
        VideozooError: in one line.
    """
    rival = None if compare is None else read_rival(compare)
    state = prepare_folder(out, settings, resume=resume)
    classes = open_videos(settings, ANY_CLIP).annotations("train").classes
    model = new_model(settings, len(classes))
    model.labels = classes
    base = model.checkpoint
    data = read_videos(settings, model.clip_spec, machine, progress, report, allow_unreadable=allow_unreadable)
    write_settings(state, settings)
    trained = ended(state)
    if trained is None:
        trained = train(model, data, settings, state, machine.device, resume=resume, report=report)
        if not trained.stopped:
            write_curves(state, trained.rows)
    else:
        report("this training has come to its end: nothing is left to train")
    if not (state / BEST).is_file():
        return None
    best = best_of(state, settings, base)
    place = machine.device.accelerator
    separate = not same_videos(data.annotations("val"), data.annotations("test"))
    outcome = judge(best.to(place), data, "test" if separate else "val")
    clips = len(data.annotations("train"))
    row = save_checkpoint_folder(best.cpu(), outcome, settings, out, clips=clips, command=command, owner=owner)
    note = "Stopped before its end; the best epoch so far." if trained.stopped else "The best epoch of a fine-tuning."
    worth = [beside_guessing(outcome), *([] if rival is None else [beside_rival(row, rival)])]
    write_report(out, row, outcome, trained.rows, data, note, worth)
    return Result(row, outcome, worth, trained.stopped)


def read_videos(
    settings: FineTuning,
    spec: ClipSpec,
    machine: Machine,
    progress: Progress,
    report: Callable[[str], None],
    *,
    allow_unreadable: bool,
) -> VideoDataModule:
    """The data module, each of its videos looked into, all of them in memory where they fit."""
    data = open_videos(settings, spec, num_workers=machine.workers or 0)
    size = read_each(data, progress, allow_unreadable=allow_unreadable)
    parts = f"{len(data.annotations('train'))} clips to train, {len(data.annotations('val'))} to validate"
    balanced = ", rare classes drawn as often as common ones" if data.balance else ""
    report(f"{len(data.annotations('train').classes)} classes, {parts}{balanced}")
    if machine.memory == "yes" or (machine.memory == "auto" and fits_in_memory(data, size)):
        report(f"decoded videos stay in memory ({size / 2**20:.0f} MiB)")
        data = open_videos(settings, spec, num_workers=machine.workers or 0, in_memory=True)
        if data.num_workers:  # they inherit what is there when they start
            for path in progress(videos_of(data)):
                with suppress(VideoError), data.opener(path):
                    pass
    return data


def ended(state: Path) -> Trained | None:
    """The curves of a training that came to its end, by its epochs or for want of patience."""
    rows = read_curves(state)
    return None if rows is None else Trained(rows, stopped=False)


def best_of(state: Path, settings: FineTuning, base: Checkpoint | None) -> ActionRecognizer:
    """The model of the best epoch, which knows what it started from.

    Raises:
        CheckpointError: when the file is damaged.
    """
    best, _ = read_training_run(state / BEST)
    best.checkpoint = None if settings.from_scratch else base
    if any(not torch.isfinite(value).all() for value in best.network.state_dict().values()):
        raise CheckpointError(f"{state / BEST}: its weights are no numbers any more; try a lower --learning-rate")
    return best
