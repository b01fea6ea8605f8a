"""Where the tests find reference data, and small real videos made on the spot."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"


def shared_path(relative: str) -> Path:
    """A file of the reference data beside the checkout; the test is skipped where it is absent."""
    path = SHARED / relative
    if not path.exists():
        pytest.skip(f"needs reference data: shared/{relative} is not beside the checkout")
    return path


@pytest.fixture(scope="session")
def shared():
    """The function that finds a file of the reference data, or skips."""
    return shared_path


@pytest.fixture(scope="session")
def reference():
    """Load one recorded file (.npz or .json) of shared/reference, or skip."""

    def load(relative: str):
        path = shared_path(f"reference/{relative}")
        return json.loads(path.read_text()) if path.suffix == ".json" else np.load(path)

    return load


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)
