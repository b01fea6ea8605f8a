"""X3D of PySlowFast (``s1.pathway0_stem...``) and its port in mmaction2 (``backbone.conv1_s...``).

Both have a batch norm on the strided shortcut of the very first block, where PyTorchVideo's network, with as many
channels before as after it, has none. In evaluation that norm is a scale of the shortcut's kernel and a shift of the
sum, so it goes into the kernel and into the shift of the norm that ends the block's other branch.
"""

import re
from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from videozoo.errors import CheckpointError
from videozoo.hub.layouts.layout import Layout, Rule, StateDict, rename_keys

EPSILON = 1e-5  # of the batch norms of both

FIRST = "stages.0.0.module"
FIRST_NORM = f"{FIRST}.branch1_norm"

# Squeeze and excitation sits behind the batch norm of the middle convolution, in one Sequential with it.
EXCITATION = {"1": "block.0", "2": "block.2"}


def _place(key: re.Match[str], base: int) -> str:
    return f"stages.{int(key[1]) - base}.{key[2]}.module"


PYSLOWFAST: tuple[Rule, ...] = (
    (r"s1\.pathway0_stem\.conv_xy\.(\w+)", r"stem.module.conv.conv_t.\1"),
    (r"s1\.pathway0_stem\.conv\.(\w+)", r"stem.module.conv.conv_xy.\1"),
    (r"s1\.pathway0_stem\.bn\.(\w+)", r"stem.module.norm.\1"),
    (r"s([2-5])\.pathway0_res(\d+)\.branch1\.(\w+)", lambda key: f"{_place(key, 2)}.branch1_conv.{key[3]}"),
    (r"s([2-5])\.pathway0_res(\d+)\.branch1_bn\.(\w+)", lambda key: f"{_place(key, 2)}.branch1_norm.{key[3]}"),
    (
        r"s([2-5])\.pathway0_res(\d+)\.branch2\.([abc])\.(\w+)",
        lambda key: f"{_place(key, 2)}.branch2.conv_{key[3]}.{key[4]}",
    ),
    (
        r"s([2-5])\.pathway0_res(\d+)\.branch2\.([ac])_bn\.(\w+)",
        lambda key: f"{_place(key, 2)}.branch2.norm_{key[3]}.{key[4]}",
    ),
    (r"s([2-5])\.pathway0_res(\d+)\.branch2\.b_bn\.(\w+)", lambda key: f"{_place(key, 2)}.branch2.norm_b.0.{key[3]}"),
    (
        r"s([2-5])\.pathway0_res(\d+)\.branch2\.se\.fc([12])\.(\w+)",
        lambda key: f"{_place(key, 2)}.branch2.norm_b.1.{EXCITATION[key[3]]}.{key[4]}",
    ),
    (r"head\.conv_5\.(\w+)", r"head.pre_conv.\1"),
    (r"head\.conv_5_bn\.(\w+)", r"head.pre_norm.\1"),
    (r"head\.lin_5\.(\w+)", r"head.post_conv.\1"),
    (r"head\.projection\.(\w+)", r"head.classifier.\1"),
)

CONVOLUTIONS = {"1": "a", "2": "b", "3": "c"}


def _mmaction2_convolution(key: re.Match[str]) -> str:
    name = CONVOLUTIONS[key[3]]
    if key[4] == "conv":
        return f"{_place(key, 1)}.branch2.conv_{name}.{key[5]}"
    return f"{_place(key, 1)}.branch2.norm_{name}{'.0' if name == 'b' else ''}.{key[5]}"


MMACTION2: tuple[Rule, ...] = (
    (r"backbone\.conv1_s\.conv\.(\w+)", r"stem.module.conv.conv_t.\1"),
    (r"backbone\.conv1_t\.conv\.(\w+)", r"stem.module.conv.conv_xy.\1"),
    (r"backbone\.conv1_t\.bn\.(\w+)", r"stem.module.norm.\1"),
    (r"backbone\.layer([1-4])\.(\d+)\.downsample\.conv\.(\w+)", lambda key: f"{_place(key, 1)}.branch1_conv.{key[3]}"),
    (r"backbone\.layer([1-4])\.(\d+)\.downsample\.bn\.(\w+)", lambda key: f"{_place(key, 1)}.branch1_norm.{key[3]}"),
    (r"backbone\.layer([1-4])\.(\d+)\.conv([123])\.(conv|bn)\.(\w+)", _mmaction2_convolution),
    (
        r"backbone\.layer([1-4])\.(\d+)\.se_module\.fc([12])\.(\w+)",
        lambda key: f"{_place(key, 1)}.branch2.norm_b.1.{EXCITATION[key[3]]}.{key[4]}",
    ),
    (r"backbone\.conv5\.conv\.(\w+)", r"head.pre_conv.\1"),
    (r"backbone\.conv5\.bn\.(\w+)", r"head.pre_norm.\1"),
    (r"cls_head\.fc1\.(\w+)", r"head.post_conv.\1"),
    (r"cls_head\.fc2\.(\w+)", r"head.classifier.\1"),
)

# mmaction2 1.x may store the normalisation of the input beside the weights; the ClipSpec has it.
DROPPED = (r"data_preprocessor\.\w+",)


def fold_first_shortcut_norm(state: StateDict) -> StateDict:
    """The same network, in evaluation, without the batch norm on the shortcut of the first block.

    Raises:
        CheckpointError: when a tensor of that norm, or one that it goes into, is missing.
    """
    norm = {key.rsplit(".", 1)[1]: state[key] for key in state if key.startswith(f"{FIRST_NORM}.")}
    if not norm:
        return state
    kept = {key: value for key, value in state.items() if not key.startswith(f"{FIRST_NORM}.")}
    kernel, shift = f"{FIRST}.branch1_conv.weight", f"{FIRST}.branch2.norm_c.bias"
    needed = {"weight", "bias", "running_mean", "running_var"}
    if not needed <= norm.keys() or not {kernel, shift} <= kept.keys():
        raise CheckpointError("the batch norm on the first shortcut, or what it goes into, is incomplete")
    scale = norm["weight"] / torch.sqrt(norm["running_var"] + EPSILON)
    kept[kernel] = kept[kernel] * scale.view(-1, 1, 1, 1, 1)
    kept[shift] = kept[shift] + norm["bias"] - norm["running_mean"] * scale
    return kept


def recognise_pyslowfast(keys: Collection[str]) -> bool:
    """The two convolutions of X3D's stem in PySlowFast's names."""
    return "s1.pathway0_stem.conv_xy.weight" in keys


def recognise_mmaction2(keys: Collection[str]) -> bool:
    """The two convolutions of X3D's stem in mmaction2's names."""
    return "backbone.conv1_s.conv.weight" in keys and "backbone.conv1_t.conv.weight" in keys


def rename_pyslowfast(state: Mapping[str, Tensor], backbone: str) -> StateDict:
    """To the keys of ``x3d_*``."""
    return fold_first_shortcut_norm(rename_keys(state, PYSLOWFAST))


def rename_mmaction2(state: Mapping[str, Tensor], backbone: str) -> StateDict:
    """To the keys of ``x3d_*``; the head's first linear layer is a convolution of 1 x 1 x 1 there."""
    renamed = rename_keys(state, MMACTION2, dropped=DROPPED)
    widening = renamed.get("head.post_conv.weight")
    if widening is not None and widening.dim() == 2:
        renamed["head.post_conv.weight"] = widening[:, :, None, None, None]
    return fold_first_shortcut_norm(renamed)


PYSLOWFAST_X3D = Layout("pyslowfast_x3d", recognise_pyslowfast, rename_pyslowfast)
MMACTION2_X3D = Layout("mmaction2_x3d", recognise_mmaction2, rename_mmaction2, DROPPED)
