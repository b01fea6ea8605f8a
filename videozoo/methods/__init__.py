"""The papers, one file each; the plain baselines TSN, TSM and X3D among them."""

from videozoo.methods.bqn import BQN
from videozoo.methods.cbam import CBAM
from videozoo.methods.cpa import CPA
from videozoo.methods.dan import DAN
from videozoo.methods.datp import DATP
from videozoo.methods.dynamic_image import DynamicImage
from videozoo.methods.fullvideo import FullVideo
from videozoo.methods.gc import GC
from videozoo.methods.mbpm import MBPM
from videozoo.methods.nl import NL
from videozoo.methods.pbnet import PBNet
from videozoo.methods.rgb_difference import RGBDifference
from videozoo.methods.rnl import RNL
from videozoo.methods.se import SE
from videozoo.methods.tesnet import TeSNet
from videozoo.methods.tsm import TSM
from videozoo.methods.tsn import TSN
from videozoo.methods.tvnet import TVNet
from videozoo.methods.x3d import X3D
from videozoo.training.recognizer import ActionRecognizer

METHODS: dict[str, type[ActionRecognizer]] = {
    "bqn": BQN,
    "cbam": CBAM,
    "cpa": CPA,
    "dan": DAN,
    "datp": DATP,
    "dynamic_image": DynamicImage,
    "fullvideo": FullVideo,
    "gc": GC,
    "mbpm": MBPM,
    "nl": NL,
    "pbnet": PBNet,
    "rgb_difference": RGBDifference,
    "rnl": RNL,
    "se": SE,
    "tesnet": TeSNet,
    "tsm": TSM,
    "tsn": TSN,
    "tvnet": TVNet,
    "x3d": X3D,
}
