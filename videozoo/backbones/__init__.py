"""Networks that turn clips into features and scores; one file a family."""

from collections.abc import Callable
from functools import partial

from videozoo.backbones.base import Backbone
from videozoo.backbones.bn_inception import bn_inception
from videozoo.backbones.inception_resnet import inception_resnet_v2
from videozoo.backbones.mobilenet import tsm_mobilenet_v2
from videozoo.backbones.resnet import tsm_resnet, tsm_resnet10_tiny, tsn_resnet
from videozoo.backbones.x3d import x3d

BACKBONES: dict[str, Callable[..., Backbone]] = {
    "tsn_resnet18": partial(tsn_resnet, depth=18),
    "tsn_resnet34": partial(tsn_resnet, depth=34),
    "tsn_resnet50": partial(tsn_resnet, depth=50),
    "tsn_resnet101": partial(tsn_resnet, depth=101),
    "tsm_resnet18": partial(tsm_resnet, depth=18),
    "tsm_resnet34": partial(tsm_resnet, depth=34),
    "tsm_resnet50": partial(tsm_resnet, depth=50),
    "tsm_resnet101": partial(tsm_resnet, depth=101),
    "tsm_resnet10_tiny": tsm_resnet10_tiny,
    "tsm_mobilenet_v2": tsm_mobilenet_v2,
    "bn_inception": bn_inception,
    "inception_resnet_v2": inception_resnet_v2,
    "x3d_xs": partial(x3d, variant="xs"),
    "x3d_s": partial(x3d, variant="s"),
    "x3d_m": partial(x3d, variant="m"),
    "x3d_l": partial(x3d, variant="l"),
    "x3d_tiny": partial(x3d, variant="tiny", dropout=0.2),
}
