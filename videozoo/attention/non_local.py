"""Non-local block: every position gathers from all of the clip (Wang et al., Non-local Neural Networks, 2018)."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from videozoo.attention.affinity import Affinity, affinity_weights, gather
from videozoo.attention.tokens import grid_of, row_of, to_features, to_tokens
from videozoo.errors import SettingError

Form = Literal["gaussian", "embedded_gaussian", "dot", "concatenation"]
AFFINITIES: dict[str, Affinity] = {
    "gaussian": "softmax",
    "embedded_gaussian": "softmax",
    "dot": "dot",
    "concatenation": "relu",
}


def start_as_identity(output: nn.Conv2d, norm: nn.Module) -> None:
    """Let a residual branch add nothing at first, so that pre-trained features pass undisturbed (thesis, 4.2.4)."""
    last = norm if isinstance(norm, nn.BatchNorm2d) else output
    nn.init.zeros_(last.weight)
    if last.bias is not None:
        nn.init.zeros_(last.bias)


class NonLocal(nn.Module):
    """z = x + Wz y, y_i = sum over j of w(x_i, x_j) Wg x_j, over all positions in space and time (equation 4.1).

    ``form`` says how two positions are compared: their features' products in an exponential (``gaussian``), those of
    two embeddings (``embedded_gaussian``), the embeddings' products themselves (``dot``), or ReLU(w [theta, phi])
    (``concatenation``). ``subsample`` halves the grid of keys and values by max pooling; ``scaled`` divides the
    products of the embedded Gaussian by sqrt(width). With ``norm``, a batch norm follows Wz. The block is the
    identity at first.
    Shape: (B, T, C, H, W) -> (B, T, C, H, W).
    """

    def __init__(
        self,
        channels: int,
        *,
        form: Form = "embedded_gaussian",
        width: int | None = None,
        subsample: bool = False,
        scaled: bool = False,
        norm: bool = True,
    ) -> None:
        super().__init__()
        if form not in AFFINITIES:
            raise SettingError(f"form {form!r}: allowed are {', '.join(AFFINITIES)}")
        width = width or max(channels // 2, 1)
        self.form = form
        self.subsample = subsample
        self.scale = width**-0.5 if scaled and form == "embedded_gaussian" else 1.0
        if form != "gaussian":
            self.query = nn.Conv2d(channels, width, 1)
            self.key = nn.Conv2d(channels, width, 1)
        self.value = nn.Conv2d(channels, width, 1)
        if form == "concatenation":
            self.pair = nn.Linear(2 * width, 1, bias=False)
        self.output = nn.Conv2d(width, channels, 1)
        self.norm = nn.BatchNorm2d(channels) if norm else nn.Identity()
        start_as_identity(self.output, self.norm)

    def forward(self, features: Tensor) -> Tensor:
        query, key = self.compared(features)
        value = to_tokens(self._pooled(self.value(features.flatten(0, 1))).unflatten(0, features.shape[:2]))
        gathered = to_features(gather(query, key, value, AFFINITIES[self.form]), grid_of(features))
        return features + self.norm(self.output(gathered.flatten(0, 1))).unflatten(0, features.shape[:2])

    def weights(self, features: Tensor, position: tuple[int, int, int]) -> Tensor:
        """Where the position (t, y, x) of the features' grid looks. Shape: (B, T, C, H, W) -> (B, T, H', W')."""
        query, key = self.compared(features)
        frames, height, width = grid = grid_of(features)
        seen = affinity_weights(query[:, [row_of(position, grid)]], key, AFFINITIES[self.form]).squeeze(1)
        return seen.unflatten(1, (frames, height // 2, width // 2) if self.subsample else grid)

    def compared(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Queries (B, THW, D) and keys (B, M, D) whose products the weights are made of."""
        batch, frames = features.shape[:2], features.flatten(0, 1)
        if self.form == "gaussian":
            query = to_tokens(features)
            return query, to_tokens(self._pooled(frames).unflatten(0, batch)) if self.subsample else query
        query = to_tokens((self.query(frames) * self.scale).unflatten(0, batch))
        key = to_tokens(self._pooled(self.key(frames)).unflatten(0, batch))
        if self.form == "concatenation":
            return self._as_products(query, key)
        return query, key

    def _as_products(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """As w [theta, phi] = a_i + b_j = (a_i, 1) . (1, b_j), two numbers a position are enough to compare."""
        of_query, of_key = self.pair.weight.chunk(2, dim=1)
        a, b = F.linear(query, of_query), F.linear(key, of_key)
        return torch.cat((a, torch.ones_like(a)), dim=-1), torch.cat((torch.ones_like(b), b), dim=-1)

    def _pooled(self, frames: Tensor) -> Tensor:
        return F.max_pool2d(frames, 2) if self.subsample else frames
