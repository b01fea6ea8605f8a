"""Files by other projects: opened without running anything in them, the tensors taken out of their container."""

import hashlib
import pickle
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor

from videozoo.errors import CheckpointError

# Where projects put the weights inside a checkpoint, beside the optimiser, the epoch and the rest.
CONTAINERS = ("model_state", "state_dict", "model", "model_state_dict")

WAY_OUT = (
    "if you trust it, open it once where nothing can be harmed and keep the tensors alone: "
    "torch.save(torch.load(FILE, weights_only=False, map_location='cpu')['state_dict'], 'weights.pth')"
)


@dataclass(frozen=True)
class Upstream:
    """The tensors of a file under their own names, what identifies the file, and what its notes say of the clips."""

    path: Path
    state: dict[str, Tensor]
    sha256: str
    size: int
    frames: int | None


def read_upstream(path: Path) -> Upstream:
    """Read a .pth, .pt, .pyth, .pth.tar or .safetensors file.

    Raises:
        CheckpointError: when it is missing, no such file, or needs more than tensors to be unpickled.
    """
    sha256, size = _identity(path)
    content = _read_safetensors(path) if path.suffix == ".safetensors" else unpickle(path)
    state = _state_of(content)
    if not state:
        found = ", ".join(map(str, list(content)[:8])) if isinstance(content, Mapping) else type(content).__name__
        raise CheckpointError(f"{path}: holds no state dict of tensors, found {found}")
    return Upstream(path, state, sha256, size, _frames_of(content))


def _identity(path: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as stream:
            while chunk := stream.read(1 << 20):
                digest.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error
    return digest.hexdigest(), size


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_safetensors(path.read_bytes())
    except (SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: not a readable safetensors file ({_short(error)})") from error


def unpickle(path: Path) -> Any:
    """What a file of torch.save holds, if that is tensors and plain values only.

    Raises:
        CheckpointError: when it needs more to be unpickled, which could run code, or is no such file.
    """
    if _is_torchscript(path):
        raise CheckpointError(f"{path}: a TorchScript program, not weights; save its state_dict() with torch.save")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        needs = re.search(r"(?:GLOBAL|global|class) `?([\w.]+)", str(error))
        if needs is None:
            raise CheckpointError(f"{path}: not a file that torch can read ({_short(error)})") from error
        reason = f"needs {needs[1]} to be unpickled, which could run code, and is refused"
        raise CheckpointError(f"{path}: {reason}; {WAY_OUT}") from error
    except (RuntimeError, EOFError, ValueError, KeyError, IndexError, AttributeError, TypeError, OSError) as error:
        raise CheckpointError(f"{path}: not a file that torch can read ({_short(error)})") from error


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _state_of(content: Any) -> dict[str, Tensor]:
    """The tensors, by name, of a state dict or of the container around it."""
    if not isinstance(content, Mapping):
        return {}
    for name in CONTAINERS:
        if isinstance(content.get(name), Mapping):
            return _state_of(content[name])
    if all(isinstance(key, str) and isinstance(value, Tensor) for key, value in content.items()):
        return dict(content)
    return {}


def _frames_of(content: Any) -> int | None:
    """Frames a clip where the file's notes say so: PySlowFast stores its settings, mmaction2 its configuration."""
    if not isinstance(content, Mapping):
        return None
    notes = [content.get("cfg")]
    meta = content.get("meta")
    if isinstance(meta, Mapping):
        notes += [meta.get("config"), meta.get("cfg")]
    for text in notes:
        if isinstance(text, str):
            match = re.search(r"\bNUM_FRAMES:\s*(\d{1,4})\b", text) or re.search(r"\bnum_segments=(\d{1,4})\b", text)
            if match:
                return int(match[1])
    return None


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
