"""What can be chosen about TVNet besides its depth."""

from dataclasses import dataclass
from typing import Literal

Trainable = Literal["nothing", "u0", "filters", "all"]


@dataclass(frozen=True)
class TVNetOptions:
    """The solver's constants (the authors' program) and what is rarely changed.

    ``data_weight`` is lambda of equation 1. ``shared_filters``: one set of kernels for all iterations.
    ``central_filters``: the image gradient's kernels train with the others (the text; the program fixes them).
    ``isotropic``: the flow loss takes the length of the flow's gradient, not the sum of its parts' sizes.
    ``reference_size``: height and width for which u0 is stored. ``checkpoint_every``: iterations after which training
    keeps the state; those between are computed again, so that memory is that of one such block.
    """

    tau: float = 0.25
    data_weight: float = 0.15
    theta: float = 0.3
    epsilon: float = 1e-12
    zoom: float = 0.5
    shared_filters: bool = False
    central_filters: bool = False
    isotropic: bool = False
    reference_size: tuple[int, int] = (224, 224)
    checkpoint_every: int | None = None
