"""Turn a trained model into a checkpoint: a folder that load_model reads, or one that comes with this package."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from videozoo.errors import ManifestError
from videozoo.hub.describe import describe
from videozoo.hub.save import WEIGHTS, save_checkpoint
from videozoo.hub.schema import Checkpoint
from videozoo.training.recognizer import ActionRecognizer

EMBEDDED = Path(__file__).parent / "embedded"
LABEL_LISTS = Path(__file__).parent / "labels"


def save_model(
    model: ActionRecognizer, folder: str | Path, *, name: str, dtype: str = "float32", **facts: Any
) -> Checkpoint:
    """Write a model as a checkpoint folder: model.safetensors, config.json, labels.txt; returns its row.

    ``facts`` are the fields that a model cannot know: ``dataset``, ``origin``, ``licence``, ``paper``, ``results`` and
    whatever else of videozoo.hub.schema.Checkpoint, as plain values. ``dtype="float16"`` halves the file.

    Raises:
        ManifestError: when a field is missing or wrong; nothing is written then.
    """
    row = {"status": "converted", "results": [], "sources": [], **describe(model), **facts}
    row |= {"name": name, "files": [{"dtype": dtype}]}
    try:
        return save_checkpoint(Path(folder), row, model.network.state_dict(), model.labels)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ManifestError(f"{name}: field {field or 'of the row'}: {first['msg']}") from error


def package_checkpoint(model: ActionRecognizer, *, name: str, dtype: str = "float32", **facts: Any) -> Checkpoint:
    """Make a model one of those that come with this package; returns the row to add to the manifest.

    Writes videozoo/hub/embedded/NAME.safetensors and videozoo/hub/labels/DATASET.txt of this checkout; add what
    ``videozoo.hub.row_text.row_as_yaml`` gives to checkpoints_manifest.yaml. ``facts`` are those of save_model.

    Raises:
        ManifestError: when a field is missing or wrong.
    """
    facts = {**facts, "status": "released"}
    facts["sources"] = [{"type": "package", "path": f"embedded/{name}.safetensors"}]
    with tempfile.TemporaryDirectory() as folder:
        row = save_model(model, folder, name=name, dtype=dtype, **facts)
        EMBEDDED.mkdir(exist_ok=True)
        LABEL_LISTS.mkdir(exist_ok=True)
        shutil.copyfile(Path(folder) / WEIGHTS, EMBEDDED / f"{name}.safetensors")
        if row.labels is None:
            return row
        labels = row.labels.model_copy(update={"file": f"{row.labels.set}.txt"})
        shutil.copyfile(Path(folder) / "labels.txt", LABEL_LISTS / labels.file)
    return row.model_copy(update={"labels": labels})
