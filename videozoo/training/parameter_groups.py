"""Parameter groups: which parts of a network learn faster than the rest, and which are not decayed.

The rules are those of the papers' authors: TSN and TSM (``get_optim_policies``), RNL and BQN, X3D in PySlowFast.
"""

from collections.abc import Iterator
from typing import Any

from torch import nn
from torch.nn import Parameter
from torch.nn.modules.batchnorm import _BatchNorm

from videozoo.attention.region_non_local import RegionNonLocal
from videozoo.backbones.base import Backbone
from videozoo.backbones.fusion import PathwayFusion
from videozoo.backbones.multi_length import MultiLengthConvolution
from videozoo.errors import UnknownNameError
from videozoo.representations.band_pass import MotionBandPass
from videozoo.representations.tvnet import TVNet

# Kind of parameter -> what the learning rate and the weight decay are multiplied with.
Policy = dict[str, tuple[float, float]]

TSN: Policy = {"bias": (2, 0), "norm": (1, 0), "head.weight": (5, 1), "head.bias": (10, 0)}
BQN: Policy = {**TSN, "head.weight": (5, 0), "band_pass": (5, 1), "first.weight": (5, 1), "first.bias": (10, 0)}

POLICIES: dict[str, Policy] = {
    "uniform": {},
    "tsn": TSN,
    "tsn_flow": {**TSN, "first.weight": (5, 1), "first.bias": (10, 0)},
    "tsn_plain_head": {"bias": (2, 0), "norm": (1, 0)},
    # In the authors' code a mask is registered before the region's kernel, which so lands among the biases.
    "rnl": {**TSN, "region.norm.weight": (1, 1), "region.norm.bias": (2, 0), "region.kernel": (2, 0)},
    "bqn": {**BQN, "second.first.weight": (5, 1), "second.first.bias": (10, 0)},
    "bqn_x3d": BQN,
    # The thesis' text on DAN, MBPM and BQN: the classifier five times in both, decay on convolutions and classifier.
    "thesis": {"bias": (1, 0), "norm": (1, 0), "head.weight": (5, 5), "head.bias": (5, 0), "band_pass": (5, 1)},
    "x3d": {"norm": (1, 0)},
}
FLOW: Policy = {
    "flow": (1 / 255, 1)
}  # TVNet, section 5.2: its layers learn so much more slowly, whatever the rest does
NORMS = (_BatchNorm, nn.GroupNorm, nn.LayerNorm)


def parameter_groups(
    network: nn.Module, policy: str, *, learning_rate: float, weight_decay: float
) -> list[dict[str, Any]]:
    """What an optimiser is given: the parameters that train, by kind, with the rate and decay of a policy.

    A policy names kinds from special to general; the most special that it names counts, a kind that it does not name
    has the plain rate and decay. The name of a group is its kind, ``rest`` for these.

    Raises:
        UnknownNameError: when there is no such policy.
    """
    if policy not in POLICIES:
        raise UnknownNameError("parameter groups", policy, POLICIES)
    multipliers = FLOW | POLICIES[policy]
    members: dict[str, list[Parameter]] = {}
    for parameter, kinds in parameter_kinds(network):
        kind = next((kind for kind in kinds if kind in multipliers), "rest")
        members.setdefault(kind, []).append(parameter)
    groups = []
    for kind, parameters in members.items():
        rate, decay = multipliers.get(kind, (1, 1))
        group = {"lr": learning_rate * rate, "weight_decay": weight_decay * decay, "name": kind}
        groups.append({"params": parameters, **group})
    return groups


def parameter_kinds(network: nn.Module) -> Iterator[tuple[Parameter, tuple[str, ...]]]:
    """Every parameter that trains, once, in the network's order, with the kinds it is of, the most special first."""
    roles = module_roles(network)
    seen: set[int] = set()
    for module in network.modules():
        role = roles.get(id(module), "")
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.requires_grad and id(parameter) not in seen:
                seen.add(id(parameter))
                yield parameter, kinds_of(module, name, role)


def kinds_of(module: nn.Module, name: str, role: str) -> tuple[str, ...]:
    """The kinds of a parameter called ``name`` in a module that plays a role in its network, or none."""
    if isinstance(module, NORMS):
        return (f"{role}.norm.{name}", "norm")
    if role == "region" and getattr(module, "groups", 1) > 1:
        return ("region.kernel", "weight")
    kind = "bias" if name.endswith("bias") else "weight"
    return (f"{role}.{kind}", role, kind)


def module_roles(network: nn.Module) -> dict[int, str]:
    """Modules, by their identity, that a policy may treat on their own.

    first, second.first: the first convolution of a backbone, and of the second pathway's. head: the classifiers.
    band_pass: the motion band-pass at the input. flow: TVNet's layers. region: the parts of a region-based non-local
    block.
    """
    roles: dict[int, str] = {}
    for module in network.modules():
        if isinstance(module, RegionNonLocal | TVNet):
            roles |= dict.fromkeys(map(id, module.modules()), "flow" if isinstance(module, TVNet) else "region")
    for place, backbone in enumerate(backbones_of(network)):
        convolution = next(part for part in backbone.modules() if isinstance(part, nn.Conv2d | nn.Conv3d))
        roles[id(convolution)] = "second.first" if place else "first"
        roles[id(backbone.classifier)] = "head"
    for module in network.modules():
        if isinstance(module, MultiLengthConvolution):  # stands before a backbone, in the place of its first
            roles = {part: role for part, role in roles.items() if role != "first"}
            roles |= {id(convolution): "first" for convolution in module.convolutions}
        elif isinstance(module, PathwayFusion):
            roles |= {id(classifier): "head" for classifier in module.classifiers}
    roles |= {id(child): "band_pass" for child in network.children() if isinstance(child, MotionBandPass)}
    return roles


def backbones_of(network: nn.Module) -> list[Backbone]:
    """The backbones in a network, in its order."""
    return [module for module in network.modules() if isinstance(module, Backbone)]
