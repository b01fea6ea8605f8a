"""The papers, one file each; the plain baselines TSN, TSM and X3D among them."""

from videozoo.methods.cbam import CBAM
from videozoo.methods.cpa import CPA
from videozoo.methods.gc import GC
from videozoo.methods.nl import NL
from videozoo.methods.rnl import RNL
from videozoo.methods.se import SE
from videozoo.methods.tsm import TSM
from videozoo.methods.tsn import TSN
from videozoo.methods.x3d import X3D
from videozoo.training.recognizer import ActionRecognizer

METHODS: dict[str, type[ActionRecognizer]] = {
    "cbam": CBAM,
    "cpa": CPA,
    "gc": GC,
    "nl": NL,
    "rnl": RNL,
    "se": SE,
    "tsm": TSM,
    "tsn": TSN,
    "x3d": X3D,
}
