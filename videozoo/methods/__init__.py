"""The papers, one file each; the plain baselines TSN, TSM and X3D among them."""

from videozoo.methods.tsm import TSM
from videozoo.methods.tsn import TSN
from videozoo.methods.x3d import X3D
from videozoo.training.recognizer import ActionRecognizer

METHODS: dict[str, type[ActionRecognizer]] = {
    "tsm": TSM,
    "tsn": TSN,
    "x3d": X3D,
}
