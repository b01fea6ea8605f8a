"""A model by name: found, verified, built, filled."""

from pathlib import Path

from videozoo.errors import SettingError
from videozoo.hub.build import build_model
from videozoo.hub.class_names import read_labels
from videozoo.hub.find import Search, find_checkpoint
from videozoo.hub.weights import read_weights
from videozoo.training.recognizer import ActionRecognizer


def load_model(
    name: str | Path,
    *,
    num_classes: int | None = None,
    fresh_classifier: bool = False,
    device: str = "cpu",
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> ActionRecognizer:
    """A trained model in eval mode, which knows its ClipSpec, its labels and its ``checkpoint`` (the manifest row).

    ``name`` is ``arch.tag`` of the manifest, a folder, or ``owner/repo[@revision]`` on the hub. Size and sha256 of the
    weights are verified before a tensor is used. ``num_classes`` other than the checkpoint's keeps the network and
    draws a new classifier, which a warning says; ``fresh_classifier`` draws one for as many, too: other classes.
    ``local_files_only`` (or HF_HUB_OFFLINE=1) never asks the network.

    Raises:
        UnknownNameError: when nothing has that name; the text names the nearest.
        CheckpointError: when the weights cannot be had, are not the expected ones, or do not fit.
        SettingError: when an argument is outside what is allowed.
    """
    if num_classes is not None and (isinstance(num_classes, bool) or num_classes < 1):
        raise SettingError(f"num_classes {num_classes!r} must be at least 1")
    found = find_checkpoint(str(name), Search.of(cache_dir, local_files_only=local_files_only), revision=revision)
    labels = read_labels(found.labels, found.row.labels) if found.labels and found.row.labels else None
    weights = read_weights(found.weights, found.row.file)
    model = build_model(found.row, weights, num_classes=num_classes, fresh_classifier=fresh_classifier)
    model.clip_spec = found.row.clip_spec
    model.checkpoint = found.row
    if labels and model.num_classes == len(labels) and not fresh_classifier:
        model.labels = labels
    return _move(model, device)


def _move(model: ActionRecognizer, device: str) -> ActionRecognizer:
    try:
        return model.to(device)
    except (RuntimeError, AssertionError) as error:
        reason = (str(error).splitlines() or ["not available"])[0]
        raise SettingError(f"device {device!r}: {reason}") from error
