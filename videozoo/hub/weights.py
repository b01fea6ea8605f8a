"""Weights from a file: hashed first, read once, safetensors only."""

import hashlib
import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from videozoo.errors import CheckpointError
from videozoo.hub.schema import WeightFile

MAX_BYTES = 8 * 1024**3
HALF = (torch.float16, torch.bfloat16)


def read_weights(path: Path, expected: WeightFile) -> dict[str, Tensor]:
    """The tensors of a safetensors file whose bytes are the expected ones; half precision becomes float32.

    The very bytes that were hashed are the ones that are read: a file swapped in between changes nothing.

    Raises:
        CheckpointError: when the file is missing or not the expected one (with both hashes), or no safetensors.
    """
    data = read_verified(path, expected)
    try:
        state = load(data)
    except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: not a readable safetensors file ({' '.join(str(error).split())[:200]})"
        ) from error
    return {key: value.float() if value.dtype in HALF else value for key, value in state.items()}


def read_verified(path: Path, expected: WeightFile) -> bytes:
    """All bytes of a file of known size and sha256.

    Raises:
        CheckpointError: with both hashes, when it is another file.
    """
    if expected.sha256 is None:
        raise CheckpointError(f"{path}: its row has no sha256, and unverified weights are not read")
    try:
        size = os.stat(path).st_size
        if size > MAX_BYTES:
            raise CheckpointError(f"{path}: {size} bytes, more than any checkpoint has ({MAX_BYTES})")
        data = Path(path).read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from error
    found = hashlib.sha256(data).hexdigest()
    if found != expected.sha256 or (expected.size is not None and len(data) != expected.size):
        raise CheckpointError(
            f"{path}: not the expected file: sha256 {found} and {len(data)} bytes, "
            f"expected sha256 {expected.sha256} and {expected.size or 'any number of'} bytes"
        )
    return data
