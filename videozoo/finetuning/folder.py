"""What a fine-tuning leaves behind: a checkpoint folder with provenance, its report, and the state to go on from."""

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

from videozoo.data.datamodules.base import VideoDataModule
from videozoo.errors import SettingError, VideoError
from videozoo.finetuning.outcome import Outcome
from videozoo.finetuning.settings import FineTuning
from videozoo.finetuning.training import BEST
from videozoo.hub.checkout import code_identity
from videozoo.hub.describe import describe
from videozoo.hub.package import save_model
from videozoo.hub.save import write_whole
from videozoo.hub.schema import Checkpoint
from videozoo.training.recognizer import ActionRecognizer
from videozoo.visualization.images import film_strip
from videozoo.visualization.line_chart import Chart
from videozoo.visualization.prediction_page import Answer, Shown
from videozoo.visualization.training_page import training_page

REPORT, STATE, SETTINGS, CURVES = "report.html", "training", "settings.json", "curves.json"
WORST, FRAMES, ANSWERS = 12, 6, 3  # clips on the page, frames and answers of each
FRAME_HEIGHT = 72  # pixels


@dataclass(frozen=True)
class Owner:
    """What only its maker knows about a checkpoint; without a licence it cannot be published but privately."""

    author: str = "unstated"
    licence: str | None = None


def prepare_folder(out: Path, settings: FineTuning, *, resume: bool) -> Path:
    """The folder of the training's state, made or found.

    Raises:
        SettingError: when ``out`` holds something and nothing is to go on, or nothing and something is, or something
            else was begun there.
    """
    state = out / STATE
    if resume:
        if not (state / SETTINGS).is_file():
            raise SettingError(f"--resume: {out} holds no training to go on with")
        settings.check_same(json.loads((state / SETTINGS).read_text(encoding="utf-8")))
        return state
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        hint = ", or go on with --resume" if (state / SETTINGS).is_file() else ""
        raise SettingError(f"--out {out}: exists and is not empty; choose another{hint}")
    return state


def write_settings(state: Path, settings: FineTuning) -> None:
    """Write down what was begun."""
    state.mkdir(parents=True, exist_ok=True)
    write_whole(state / SETTINGS, (json.dumps(settings.to_dict(), indent=2) + "\n").encode())


def write_curves(state: Path, rows: list[dict[str, float]]) -> None:
    """Write down that the training has come to its end, and how it went."""
    write_whole(state / CURVES, (json.dumps(rows, indent=2) + "\n").encode())


def read_curves(state: Path) -> list[dict[str, float]] | None:
    """The epochs of a training that has come to its end."""
    file = state / CURVES
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def word(text: str) -> str:
    """A text as a name of the manifest: lower case letters, digits and underscores."""
    return re.sub(r"[^a-z0-9_]+", "_", text.lower()).strip("_")[:64] or "videos"


def save_checkpoint_folder(
    model: ActionRecognizer,
    outcome: Outcome,
    settings: FineTuning,
    out: Path,
    *,
    clips: int,
    command: str,
    owner: Owner,
) -> Checkpoint:
    """Write weights, class names and the row: what it started from, learned from, and scored, by which command."""
    base = model.checkpoint
    dataset = word(Path(settings.folder).resolve().name)
    classes = len(outcome.classes)
    chosen = "the part that chose the epoch" if outcome.part == "val" else "a part of its own"
    measured = {
        "kind": "measured",
        "dataset": dataset,
        "split": "validation" if outcome.part == "val" else "test",
        "top1": round(100 * outcome.top1, 2),
        "mean_class": round(100 * outcome.mean_class, 2),
        "protocol": asdict(model.clip_spec.views),
        "command": command,
        "date": date.today().isoformat(),
        "n": len(outcome.labels),
        "seed": settings.seed,
        "note": f"measured on {chosen}",
        **code_identity(),
    }
    origin = {"kind": "trained", "author": owner.author}
    origin["training_data"] = f"{clips} clips of {classes} classes in {Path(settings.folder).name}"
    origin["note"] = "fine-tuned by videozoo finetune"
    facts: dict[str, Any] = {"dataset": dataset, "results": [measured]}
    if base is not None and not settings.from_scratch:
        origin["base_model"] = base.name
    if base is not None and base.paper is not None:
        facts["paper"] = base.paper.model_dump(mode="json")
    name = f"{describe(model)['arch']}.{dataset}"
    return save_model(model, out, name=name, origin=origin, licence=licence_of(model, owner, settings), **facts)


def licence_of(model: ActionRecognizer, owner: Owner, settings: FineTuning) -> dict[str, Any]:
    """The maker's licence, within what the checkpoint that it started from allows."""
    base = None if settings.from_scratch or model.checkpoint is None else model.checkpoint.licence
    return {
        "weights": owner.licence or "unstated",
        "stated_for_weights": owner.licence is not None,
        "redistribute": owner.licence is not None and (base is None or base.redistribute),
        "non_commercial": base is not None and base.non_commercial,
        "attribution": None if base is None else base.attribution,
    }


def write_report(
    out: Path,
    row: Checkpoint,
    outcome: Outcome,
    rows: Sequence[dict[str, float]],
    data: VideoDataModule,
    note: str,
    worth: Sequence[str],
) -> Path:
    """Write the HTML page."""
    result = row.results[0]
    facts = [
        ("top-1", f"{100 * outcome.top1:.1f} % of {len(outcome.labels)} clips ({result.split}; {result.note})"),
        ("mean class accuracy", f"{100 * outcome.mean_class:.1f} %"),
        ("which is", "; ".join(worth)),
        ("confused most", "; ".join(confused_text(outcome)) or "nothing"),
        ("started from", row.origin.base_model or "random weights"),
        ("training data", row.origin.training_data or ""),
        ("epochs", f"{len(rows)}; the best by mean class accuracy is kept ({BEST})"),
        ("command", getattr(result, "command", "")),
    ]
    charts = [
        Chart("Loss", {"training": [r["train loss"] for r in rows], "validation": [r["val loss"] for r in rows]}),
        Chart(
            "Validation accuracy, %",
            {"top-1": [100 * r["top-1"] for r in rows], "mean class": [100 * r["mean class"] for r in rows]},
        ),
        Chart("Learning rate", {"first group": [r["learning rate"] for r in rows]}),
    ]
    worst = [shown for place in outcome.worst(WORST) if (shown := show(outcome, place, row.name, data)) is not None]
    page = training_page(row.name, note, facts, charts, outcome.confusion, outcome.classes, worst)
    write_whole(out / REPORT, page.encode())
    return out / REPORT


def confused_text(outcome: Outcome, most: int = 5) -> list[str]:
    """The most confused pairs in words."""
    return [f"{truth} taken for {said}: {count} of {of}" for truth, said, count, of in outcome.confused(most)]


def show(outcome: Outcome, place: int, name: str, data: VideoDataModule) -> Shown | None:
    """One clip as the page shows it, None where its file is gone."""
    path = data.annotations(outcome.part).path(int(outcome.places[place]))
    try:
        with data.opener(path) as source:
            frames = source.frames([source.frame_count * (2 * i + 1) // (2 * FRAMES) for i in range(FRAMES)])
    except VideoError:
        return None
    if frames.shape[1] != 3:  # flow
        frames = frames[:, :1]
    best = outcome.probabilities[place].topk(min(ANSWERS, len(outcome.classes)))
    top = [(outcome.classes[k], p) for p, k in zip(best.values.tolist(), best.indices.tolist(), strict=True)]
    truth = outcome.classes[int(outcome.labels[place])]
    return Shown(path.name, truth, film_strip(frames, height=FRAME_HEIGHT), [Answer(name, top)])
