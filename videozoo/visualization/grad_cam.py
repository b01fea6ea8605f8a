"""Grad-CAM over time: which places of which frames speak for a class (Selvaraju et al. 2017; thesis, figure 4.11)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videozoo.backbones.base import Backbone
from videozoo.errors import SettingError
from videozoo.methods.fullvideo import ClusteringNetwork
from videozoo.training.recognizer import ActionRecognizer
from videozoo.visualization.heat import paint, stretch, to_pixels


def grad_cam(model: nn.Module, clip: Tensor, target: int | None = None) -> tuple[Tensor, Tensor]:
    """ReLU of the last features' channels, each weighted by the mean gradient of the class's score.

    The mean runs over all positions in space and time, so that frames can be compared; without ``target``, the class
    is the best one. Works for every network with a Backbone in it; of several, it sees the first. Snippets that pass
    a network one by one follow each other; where frames were clustered, each has the heat of its cluster.
    Shape: (1, T, C, H, W) -> heat (T', H', W') and the scores (K,).

    Raises:
        SettingError: when there is no such class.
    """
    features, scores = last_features(model, clip)
    if target is not None and not 0 <= target < len(scores):
        raise SettingError(f"class {target}: allowed are 0..{len(scores) - 1}")
    score = scores[scores.argmax() if target is None else target]
    (gradient,) = torch.autograd.grad(score, features)
    importance = gradient.mean(dim=(0, 1, 3, 4), keepdim=True)
    heat = F.relu((importance * features).sum(dim=2)).flatten(0, 1).detach()
    network = getattr(model, "network", None)
    if isinstance(network, ClusteringNetwork):
        with torch.no_grad():
            heat = heat[network.assign(clip)[0]]
    return heat, scores.detach()


def last_features(model: nn.Module, clip: Tensor) -> tuple[Tensor, Tensor]:
    """What the last block of the backbone gives, and the scores (K,) made of it, joined by autograd."""
    backbones = [module for module in model.modules() if isinstance(module, Backbone)]
    if not backbones:
        raise SettingError(f"{type(model).__name__} has no backbone whose last features could be shown")
    seen: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        seen.append(output if output.requires_grad else output.requires_grad_())
        return seen[-1].clone()  # what follows may work in place

    _, block = backbones[0].blocks()[-1]  # not the stage: some networks walk the blocks themselves
    handle = block.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            scores = model(clip)
    finally:
        handle.remove()
    return seen[-1], scores[0]


def heat_row(model: ActionRecognizer, clip: Tensor, target: int | None, name: str) -> tuple[str, Tensor]:
    """The frames under the heat of a class, the network's own answer without one, and a line of text.

    Shape: (1, T, C, H, W) -> uint8 (T, 3, H, W).
    """
    heat, scores = grad_cam(model, clip, target)
    shown = int(scores.argmax()) if target is None else target
    title = f"{name}: {model.labels[shown]}, probability {scores.softmax(dim=-1)[shown]:.3f}"
    return title, paint(to_pixels(clip[0], model.clip_spec), stretch(heat))
