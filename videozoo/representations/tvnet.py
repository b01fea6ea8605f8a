"""TVNet: TV-L1 optical flow unrolled into layers that can be trained (TVNet, sections 3 and 4)."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from videozoo.errors import SettingError
from videozoo.representations.flow_losses import tv_l1_energy
from videozoo.representations.flow_preparation import FlowPreparation
from videozoo.representations.image_pyramid import resample, size_at, useful_scales
from videozoo.representations.segments import split_segments
from videozoo.representations.tv_l1 import (
    BACKWARD,
    FORWARD,
    DataTerm,
    central_difference,
    linearise,
    standard_filters,
    tv_l1_iteration,
)
from videozoo.representations.tv_l1_unrolled import unrolled_tv_l1
from videozoo.representations.tvnet_options import Trainable, TVNetOptions
from videozoo.representations.warping import Border, warp

# A CPU solves so many pixels at a time: the arrays of more pairs would not stay in its cache.
PIXELS_AT_ONCE = 2**17
COMPILED_ITERATIONS = 5  # entering compiled code costs part of an iteration, more of them longer to compile


class TVNet(nn.Module):
    """Optical flow between consecutive frames, without training (then it is TV-L1) or trained with what follows.

    ``TVNet(s, w, i)`` is the paper's TVNet-s-w-i. ``trainable``: nothing; the initial flow ``u0``; the 2-tap kernels
    of every iteration (16 numbers each), ``filters``; or both. Frames have values in 0..255. ``flows`` of consecutive
    frames make one stack. A plain flow network would be compiled whole; this one is a loop, so ``compile()`` compiles
    a few iterations.

    Shape: (B, S x (flows + 1), 3, H, W) -> (B, S, 2 x flows, H, W): x and y displacement in pixels, flow after flow.
    """

    filters: Tensor

    def __init__(
        self,
        scales: int = 1,
        warps: int = 1,
        iterations: int = 50,
        *,
        trainable: Trainable = "all",
        flows: int = 5,
        border: Border = "clamp",
        preparation: FlowPreparation | None = None,
        options: TVNetOptions | None = None,
    ) -> None:
        super().__init__()
        if min(scales, warps, iterations, flows) < 1:
            raise SettingError(f"TVNet-{scales}-{warps}-{iterations}, {flows} flows: each must be at least 1")
        self.scales = scales
        self.warps = warps
        self.iterations = iterations
        self.border: Border = border
        self.frames_per_segment = flows + 1
        self.out_frames = 1
        self.out_channels = 2 * flows
        self.preparation = preparation or FlowPreparation()
        self.options = options or TVNetOptions()
        self._run: Callable[..., tuple[Tensor, Tensor]] = unrolled_tv_l1
        self._add_parameters(trainable)

    def _add_parameters(self, trainable: Trainable) -> None:
        filters = standard_filters(1 if self.options.shared_filters else self.scales * self.warps * self.iterations)
        self.u0: nn.Parameter | None = None
        self.central: nn.Parameter | None = None
        if trainable in ("filters", "all"):
            self.filters = nn.Parameter(filters)
            if self.options.central_filters:
                self.central = nn.Parameter(torch.tensor([-0.5, 0.0, 0.5]).repeat(2, 1))
        else:
            self.register_buffer("filters", filters, persistent=False)
        if trainable in ("u0", "all"):
            reference = torch.empty(self.options.reference_size)
            self.u0 = nn.Parameter(torch.zeros(2, *size_at(reference, self.scales - 1, self.options.zoom)))

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile a few iterations with torch.compile, for all of them; the arguments are torch.compile's."""
        few_iterations = torch.compile(_readable_iterations, *args, **kwargs)

        def run(u: Tensor, p: Tensor, data: DataTerm, filters: Tensor, *numbers: float) -> tuple[Tensor, Tensor]:
            for block in filters.split(COMPILED_ITERATIONS):
                u, p = few_iterations(u, p, data, block, *numbers)
            return u, p

        self._run = run

    def forward(self, clip: Tensor) -> Tensor:
        return self._stack(self.flow(*self._pairs(clip)), clip)

    def forward_with_loss(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        """Flow stacks and the flow loss L_f of the prepared frames (TVNet, section 4.3)."""
        frame1, frame2 = self.preparation(*self._pairs(clip))
        flow = self.solve(frame1, frame2)
        weight, isotropic = self.options.data_weight, self.options.isotropic
        loss = tv_l1_energy(frame1, frame2, flow, data_weight=weight, isotropic=isotropic, border=self.border)
        return self._stack(flow, clip), loss

    def flow(self, frame1: Tensor, frame2: Tensor) -> Tensor:
        """Displacement in pixels of what frame 1 shows, x first. Shape: twice (B, C, H, W) -> (B, 2, H, W)."""
        return _in_parts(lambda *part: self.solve(*self.preparation(*part)), frame1, frame2)

    def solve(self, frame1: Tensor, frame2: Tensor) -> Tensor:
        """Flow between prepared frames. Shape: twice (B, 1, H, W) -> (B, 2, H, W)."""
        if frame1.dtype not in (torch.float32, torch.float64):  # grey levels squared leave no room in 16 bits
            frame1, frame2 = frame1.float(), frame2.float()
        with torch.autocast(frame1.device.type, enabled=False):
            return _in_parts(self._coarse_to_fine, frame1, frame2)

    def _coarse_to_fine(self, frame1: Tensor, frame2: Tensor) -> Tensor:
        zoom = self.options.zoom
        rows = self._scaled_filters().to(frame1.dtype).unflatten(0, (self.scales, self.warps, self.iterations))
        used = useful_scales(frame1, self.scales, zoom)
        flow = self._initial_flow(frame1, size_at(frame1, used - 1, zoom))
        for scale in reversed(range(used)):
            size = size_at(frame1, scale, zoom)
            if flow is not None and scale < used - 1:
                flow = resample(flow, size) / zoom
            small1, small2 = resample(frame1, size), resample(frame2, size)
            flow, _ = self._one_scale(small1, small2, flow, rows[self.scales - 1 - scale])
        assert flow is not None
        return flow

    def _one_scale(
        self, frame1: Tensor, frame2: Tensor, flow: Tensor | None, filters: Tensor
    ) -> tuple[Tensor, DataTerm]:
        """Algorithm 1; filters (warps, iterations, ...). The dual variables go on from warp to warp."""
        options = self.options
        gradient = central_difference(frame2, self.central)
        u = None if flow is None else flow.transpose(0, 1)
        p = None
        for row in filters:
            warped = torch.cat([frame2, gradient], dim=1)
            if u is not None:
                warped = warp(warped, u.transpose(0, 1), self.border)
            data = linearise(warped[:, :1], warped[:, 1:], frame1, u, options.epsilon)
            u = torch.zeros_like(data.gradient) if u is None else u.contiguous()
            p = u.new_zeros(2, *u.shape) if p is None else p
            u, p = self._iterate(u, p, data, row)
        assert u is not None
        return u.transpose(0, 1), data

    def _iterate(self, u: Tensor, p: Tensor, data: DataTerm, filters: Tensor) -> tuple[Tensor, Tensor]:
        options = self.options
        numbers = (options.data_weight * options.theta, options.epsilon * (options.tau / options.theta) ** 2)
        if options.checkpoint_every is None or not torch.is_grad_enabled():
            return self._run(u, p, data, filters, *numbers)
        for block in filters.split(options.checkpoint_every):
            u, p = checkpoint(self._run, u, p, data, block, *numbers, use_reentrant=False)
        return u, p

    def _scaled_filters(self) -> Tensor:
        """The kernels of all iterations, times theta (divergence) and tau / theta (gradient of the flow)."""
        scale = self.filters.new_ones(2)
        scale[BACKWARD], scale[FORWARD] = self.options.theta, self.options.tau / self.options.theta
        rows = self.scales * self.warps * self.iterations
        return (self.filters * scale.view(2, 1, 1, 1)).expand(rows, -1, -1, -1, -1)

    def _initial_flow(self, frame: Tensor, size: tuple[int, int]) -> Tensor | None:
        """u0 for frames whose coarsest scale has this size, in pixels there; none if it does not train: zero."""
        if self.u0 is None:
            return None
        flow = resample(self.u0[None].to(frame.dtype), size)
        ratio = flow.new_tensor([size[1] / self.u0.shape[2], size[0] / self.u0.shape[1]])
        return (flow * ratio.view(2, 1, 1)).expand(frame.shape[0], -1, -1, -1)

    def _pairs(self, clip: Tensor) -> tuple[Tensor, Tensor]:
        """Consecutive grey frames of all segments, twice (B x S x flows, 1, H, W)."""
        frames = split_segments(self.preparation.to_grey(clip), self.frames_per_segment)
        return frames[:, :, :-1].flatten(0, 2), frames[:, :, 1:].flatten(0, 2)

    def _stack(self, flow: Tensor, clip: Tensor) -> Tensor:
        return flow.reshape(clip.shape[0], -1, self.out_channels, *flow.shape[-2:])


def _readable_iterations(
    u: Tensor, p: Tensor, data: DataTerm, filters: Tensor, *numbers: float
) -> tuple[Tensor, Tensor]:
    for row in filters.unbind():
        u, p = tv_l1_iteration(u, p, data, row, *numbers)
    return u, p


def _in_parts(solve: Callable[[Tensor, Tensor], Tensor], frame1: Tensor, frame2: Tensor) -> Tensor:
    """``solve`` all pairs, on a CPU a few at a time."""
    pairs = max(1, PIXELS_AT_ONCE // frame1[0, 0].numel())
    if frame1.is_cuda or torch.compiler.is_compiling() or len(frame1) <= pairs:  # an exported graph has no loop
        return solve(frame1, frame2)
    return torch.cat([solve(*part) for part in zip(frame1.split(pairs), frame2.split(pairs), strict=True)])
