"""A checkpoint as a folder: weights, their row, class names. What load_model reads."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from videozoo.hub.find import CONFIG
from videozoo.hub.schema import Checkpoint

LABELS = "labels.txt"
WEIGHTS = "model.safetensors"
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def save_checkpoint(
    folder: Path, facts: Mapping[str, Any], state: Mapping[str, Tensor], labels: Sequence[str] | None
) -> Checkpoint:
    """Write model.safetensors, labels.txt and config.json, each whole or not at all; returns the row.

    ``facts`` are a row's fields as plain values; file, sha256, size and label file are filled in here.
    ``facts["files"][0]["dtype"]`` may ask for half precision. The same tensors give the same bytes.

    Raises:
        ValidationError: when the facts are no valid row; nothing is written then.
    """
    given = dict((facts.get("files") or [{}])[0])
    dtype = given.get("dtype", "float32")
    data = save(
        {
            key: value.detach()
            .cpu()
            .to(DTYPES[dtype] if value.is_floating_point() else value.dtype)
            .clone()
            .contiguous()
            for key, value in sorted(state.items())
        }
    )
    file = {"path": WEIGHTS, "sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "dtype": dtype}
    row = dict(facts) | {"files": [file]}
    text = "".join(f"{label}\n" for label in labels or ()).encode()
    if labels:
        row["labels"] = dict(facts.get("labels") or {"set": facts["dataset"]}) | {
            "num_classes": len(labels),
            "file": LABELS,
            "sha256": hashlib.sha256(text).hexdigest(),
        }
    else:
        row["labels"] = None
    checked = Checkpoint.model_validate_json(json.dumps(row, default=str))
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / WEIGHTS, data)
    if labels:
        write_whole(folder / LABELS, text)
    write_whole(folder / CONFIG, row_as_json(checked))
    return checked


def row_as_json(row: Checkpoint) -> bytes:
    """The content of config.json."""
    return (json.dumps(row.to_dict(), indent=2, ensure_ascii=False) + "\n").encode()


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that is never seen half written: beside its place first, then renamed."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(beside, 0o666 & ~_umask())
        os.replace(beside, path)
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
