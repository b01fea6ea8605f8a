"""Upstream layouts of weights, one file a family; LAYOUTS = {name: layout}."""

from videozoo.hub.layouts.bn_inception import BN_INCEPTION
from videozoo.hub.layouts.bqn import BQN_RESNET, BQN_X3D
from videozoo.hub.layouts.image_resnet import IMAGE_RESNET
from videozoo.hub.layouts.inception_resnet import INCEPTION_RESNET_V2
from videozoo.hub.layouts.layout import Layout
from videozoo.hub.layouts.mmaction2 import MMACTION2_MOBILENET_V2, MMACTION2_RESNET
from videozoo.hub.layouts.pytorchvideo_x3d import PYTORCHVIDEO_X3D
from videozoo.hub.layouts.rnl import RNL
from videozoo.hub.layouts.tsm_mit import TSM_MIT
from videozoo.hub.layouts.tsm_mit_mobilenet import TSM_MIT_MOBILENET
from videozoo.hub.layouts.tsm_non_local import MMACTION2_NON_LOCAL, TSM_MIT_NON_LOCAL
from videozoo.hub.layouts.x3d_ports import MMACTION2_X3D, PYSLOWFAST_X3D

LAYOUTS: dict[str, Layout] = {
    "tsm_mit": TSM_MIT,
    "tsm_mit_mobilenet_v2": TSM_MIT_MOBILENET,
    "mmaction2_resnet": MMACTION2_RESNET,
    "mmaction2_mobilenet_v2": MMACTION2_MOBILENET_V2,
    "pytorchvideo_x3d": PYTORCHVIDEO_X3D,
    "tsm_mit_non_local": TSM_MIT_NON_LOCAL,
    "mmaction2_non_local": MMACTION2_NON_LOCAL,
    "rnl": RNL,
    "pyslowfast_x3d": PYSLOWFAST_X3D,
    "mmaction2_x3d": MMACTION2_X3D,
    "torchvision_resnet": IMAGE_RESNET,
    "bn_inception": BN_INCEPTION,
    "inception_resnet_v2": INCEPTION_RESNET_V2,
    "bqn_resnet": BQN_RESNET,
    "bqn_x3d": BQN_X3D,
}
