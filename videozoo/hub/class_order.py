"""Which class names an upstream file's classifier has, and in which order."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from videozoo.errors import SettingError
from videozoo.hub.manifest import read_manifest
from videozoo.hub.schema import Labels

# Layouts of code that numbers the classes of Something-Something V1 by sorted name, not as the official list does.
SORTED_CLASSES = ("tsm_mit", "tsm_mit_mobilenet_v2", "tsm_mit_non_local", "rnl", "bqn_resnet", "bqn_x3d")


def labels_of(dataset: str | None, num_classes: int, layout: str) -> Labels | None:
    """The list of class names of a data set; without one, that of the only known set with as many classes.

    Something-Something has 174 classes in both versions, in two orders; the sorted one is the second version's.

    Raises:
        SettingError: when the data set is unknown or has another number of classes.
    """
    known = {row.labels.set: row.labels for row in read_manifest().checkpoints if row.labels}
    if dataset is None:
        fitting = [labels for labels in known.values() if labels.num_classes == num_classes]
        if layout in SORTED_CLASSES:
            fitting = [labels for labels in fitting if labels.set != "ssv1"]
        return fitting[0] if len(fitting) == 1 else None
    if dataset not in known:
        if dataset in {row.dataset for row in read_manifest().checkpoints}:  # one without a list of names
            return None
        raise SettingError(f"--dataset {dataset}: known are {', '.join(sorted(known))}")
    if known[dataset].num_classes != num_classes:
        raise SettingError(f"--dataset {dataset} has {known[dataset].num_classes} classes, the file {num_classes}")
    return known[dataset]


def in_official_order(state: Mapping[str, Tensor], names: Sequence[str], layout: str) -> dict[str, Tensor]:
    """The tensors with the classifier's rows in the order of ``names``, if the layout has them sorted by name."""
    if layout not in SORTED_CLASSES:
        return dict(state)
    place = {name: row for row, name in enumerate(sorted(names))}
    order = [place[name] for name in names]
    return {key: value[order] if _is_classifier(key) else value for key, value in state.items()}


def _is_classifier(key: str) -> bool:
    return "classifier" in key.split(".")[-2] or "classifiers" in key
