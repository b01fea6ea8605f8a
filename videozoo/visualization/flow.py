"""Optical flow in the usual colours: hue is direction, paleness is stillness (Baker et al., IJCV 2011)."""

from collections.abc import Mapping

import torch
from PIL import Image
from torch import Tensor
from torchvision.utils import flow_to_image

from videozoo.visualization.heat import labelled_strips

LARGEST_SHARE = 0.995  # of the pixels whose motion keeps below the full colour: single ones would make all others pale
KNOWN = 1e9  # pixels; Middlebury writes more where it does not know


def full_motion(flows: Tensor) -> float:
    """Pixels of motion that get the full colour, so that several pictures can share it. Shape: (N, 2, H, W)."""
    length = flows.float().square().sum(dim=1).sqrt()
    known = length[length <= KNOWN]
    if not len(known):
        return 1.0
    place = min(len(known), 1 + int(LARGEST_SHARE * len(known)))
    return max(known.kthvalue(place).values.item(), 1e-3)


def flow_pictures(flows: Tensor, full: float | None = None) -> Tensor:
    """Flow as pictures: still is white, motion of ``full`` pixels or more is fully coloured, unknown is black.

    Shape: pixels, x first, (N, 2, H, W) -> uint8 (N, 3, H, W).
    """
    full = full_motion(flows) if full is None else full
    flows = flows.float()
    length = flows.square().sum(dim=1, keepdim=True).sqrt()
    shortened = flows * (full / length.clamp_min(full))
    # torchvision scales by the longest vector of its input: one column more, of just that length.
    longest = torch.tensor([full, 0.0]).view(1, 2, 1, 1).expand(len(flows), 2, flows.shape[2], 1)
    pictures = flow_to_image(torch.cat([shortened, longest], dim=3))[..., :-1]
    return torch.where(length <= KNOWN, pictures, 0)


def colour_wheel(size: int) -> Tensor:
    """The key: a disc whose points are coloured as motion from its centre to them. Shape: uint8 (3, size, size)."""
    places = torch.linspace(-1.05, 1.05, size)
    flow = torch.stack([places.expand(size, size), places[:, None].expand(size, size)])
    outside = flow.square().sum(dim=0) > 1
    return flow_pictures(flow[None], full=1.0)[0].masked_fill(outside, 255)


def flow_sheet(flows: Mapping[str, Tensor], frames: tuple[str, Tensor] | None = None) -> Image.Image:
    """Rows of flow under their titles in colours of one scale, below the frames that they begin at, and the key.

    Shape: flow (N, 2, H, W), frames uint8 (N, 3, H, W).
    """
    full = full_motion(torch.cat([flow.flatten(2) for flow in flows.values()])[..., None])
    rows = [] if frames is None else [frames]
    rows += [(title, flow_pictures(flow, full)) for title, flow in flows.items()]
    rows.append((f"full colour: {full:.1f} pixels a frame", colour_wheel(192)[None]))
    return labelled_strips(rows, height=160)
