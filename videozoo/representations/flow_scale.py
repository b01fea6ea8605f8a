"""Flow in pixels as the numbers that flow networks are used to."""

from torch import Tensor, nn

BOUND = 20.0  # pixels


class FlowScale(nn.Module):
    """Displacement times 255 / 40: the levels of stored flow (+-20 pixels to 0..255) less their zero, not clipped.

    Flow networks of the TSN family learned on such pictures minus 128; the TVNet paper does not say its scale.

    Shape: any.
    """

    def forward(self, flow: Tensor) -> Tensor:
        return flow * (255 / (2 * BOUND))
