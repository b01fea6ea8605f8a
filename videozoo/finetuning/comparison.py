"""What a figure is worth: beside guessing, and beside another training measured on as many of the same clips."""

import math
from pathlib import Path

from pydantic import ValidationError

from videozoo.errors import SettingError
from videozoo.finetuning.outcome import Outcome
from videozoo.hub.find import CONFIG
from videozoo.hub.schema import Checkpoint

SIGMAS = 1.96  # 95 of 100
CHOSEN_SIGMAS = 3.0  # where the best of many epochs was chosen on the same clips: some are good by chance


def interval(share: float, count: int, sigmas: float = SIGMAS) -> tuple[float, float]:
    """Wilson's interval of a share of ``count`` clips."""
    middle = (share + sigmas**2 / (2 * count)) / (1 + sigmas**2 / count)
    spread = share * (1 - share) / count + sigmas**2 / (4 * count**2)
    half = sigmas * math.sqrt(spread) / (1 + sigmas**2 / count)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def beside_guessing(outcome: Outcome) -> str:
    """Whether the answers are better than always naming the commonest class."""
    count = len(outcome.labels)
    guess = outcome.labels.bincount().max().item() / count
    sigmas = CHOSEN_SIGMAS if outcome.part == "val" else SIGMAS
    low, high = interval(outcome.top1, count, sigmas)
    verdict = "better" if low > guess else "not surely better"
    sure = f"{sigmas:.2g} sigma: {100 * low:.0f} to {100 * high:.0f} %"
    return f"{verdict} than always the commonest class, {100 * guess:.1f} % ({sure})"


def read_rival(folder: Path) -> Checkpoint:
    """The row of another training's folder.

    Raises:
        SettingError: when there is none.
    """
    try:
        return Checkpoint.model_validate_json((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise SettingError(f"--compare {folder}: no folder that videozoo finetune has written") from error


def beside_rival(row: Checkpoint, rival: Checkpoint) -> str:
    """Whether a training came to more than another, and whether its clips are enough to tell.

    Raises:
        SettingError: when the two were not measured on as many clips of the same part.
    """
    own, other = row.results[0], rival.results[0]
    count = getattr(own, "n", 0)
    if (own.dataset, own.split, count) != (other.dataset, other.split, getattr(other, "n", 0)):
        raise SettingError(f"--compare: {rival.name} was measured on other clips ({other.dataset}, {other.split})")
    mine, yours = (own.top1 or 0) / 100, (other.top1 or 0) / 100
    error = math.sqrt((mine * (1 - mine) + yours * (1 - yours)) / count)
    verdict = "better" if mine > yours else "not better"
    told = "" if abs(mine - yours) > SIGMAS * error else f", a difference that {count} clips do not tell from chance"
    start = rival.origin.base_model or "random weights"
    return f"{verdict} than started from {start}, {100 * yours:.1f} %{told}"
