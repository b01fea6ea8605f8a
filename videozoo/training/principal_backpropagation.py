"""Principal backpropagation: watch all snippets of a video, learn from the few that matter (PBNet, III-B and IV-A).

Watching keeps no activations and takes a few videos at a time, so its memory does not grow with the number of
snippets. What follows is one ordinary step on the chosen snippets: automatic optimisation, accumulation, mixed
precision and distributed training see nothing unusual.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Any, Literal

import torch
from torch import Tensor, nn

from videozoo.errors import SettingError
from videozoo.temporal.snippet_pooling import SnippetPooling

Rule = Literal["max", "kl", "random", "full", "loss_difference"]
Candidates = Literal["auto", "all", "sampled", "partitions"]
WatchPrecision = Literal["same", "bf16"]
RULES = ("max", "kl", "random", "full", "loss_difference")
CANDIDATES = ("auto", "all", "sampled", "partitions")
MOST_SUBSETS = 100_000  # that are listed one by one


@dataclass(frozen=True)
class PrincipalBackpropagation:
    """Which ``chosen`` snippets of a video are learned from, as plain values.

    Rules: ``max`` takes the subset of highest loss, ``kl`` the one whose answer is nearest to that of all snippets,
    ``loss_difference`` the one whose loss is, ``random`` any; ``full`` learns from all and watches nothing. Candidate
    subsets are ``all``, ``number`` sampled ones, or those of random ``partitions`` into equal groups; ``auto`` is all
    of them up to ``number``, since the bound of theorem 1 can fail for the best of a sample. ``watch_videos`` at once
    are watched; without, as many as have no more snippets than are learned from.
    """

    chosen: int
    rule: Rule = "kl"
    candidates: Candidates = "auto"
    number: int = 100
    watch_videos: int | None = None
    watch_precision: WatchPrecision = "same"

    def __post_init__(self) -> None:
        if self.rule not in RULES:
            raise SettingError(f"rule {self.rule!r}: must be one of {', '.join(RULES)}")
        if self.candidates not in CANDIDATES:
            raise SettingError(f"candidates {self.candidates!r}: must be one of {', '.join(CANDIDATES)}")
        if self.chosen < 1 or self.number < 1 or (self.watch_videos is not None and self.watch_videos < 1):
            raise SettingError(
                f"chosen {self.chosen}, number {self.number}, watch_videos {self.watch_videos}: must be at least 1"
            )
        if self.watch_precision not in ("same", "bf16"):
            raise SettingError(f"watch_precision {self.watch_precision!r}: must be same or bf16")

    def check(self, snippets: int) -> None:
        """Say what is wrong with choosing from so many snippets.

        Raises:
            SettingError: when there are too few, too many subsets of them, or no equal groups of the chosen size.
        """
        if self.chosen > snippets:
            raise SettingError(f"chosen {self.chosen}: must be at most the {snippets} snippets of a video")
        if self.candidates == "all" and comb(snippets, self.chosen) > MOST_SUBSETS:
            raise SettingError(f"all {comb(snippets, self.chosen)} subsets: more than {MOST_SUBSETS} are to be sampled")
        if self.candidates == "partitions" and snippets % self.chosen:
            raise SettingError(f"partitions of {snippets} snippets into groups of {self.chosen}: they must be equal")
        if self.rule == "kl" and snippets / 2 < self.chosen < snippets:
            warnings.warn(
                f"the KL-rule with {self.chosen} of {snippets} snippets: an outlier moves the whole less than it moves "
                "a subset only up to half of them; beyond, outliers are chosen rather than left out",
                stacklevel=2,
            )

    def watches(self, snippets: int) -> bool:
        """Whether there is anything to choose."""
        return self.rule != "full" and self.chosen < snippets

    def watch(self, network: nn.Module, score: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """Scores of all snippets, without graph, in eval mode: all of them are compared by the same function.

        ``score`` maps some videos' snippets (b, m, ...), and what other inputs belong to them, to (b, m, K);
        ``network`` is what it runs. Shape: (B, m, ...) -> float32 (B, m, K).
        """
        videos, snippets = inputs[0].shape[:2]
        at_once = self.watch_videos or max(1, videos * self.chosen // snippets)
        device = inputs[0].device.type
        lower: AbstractContextManager[Any] = (
            torch.autocast(device, dtype=torch.bfloat16) if self.watch_precision == "bf16" else nullcontext()
        )
        with evaluating(network), torch.no_grad(), lower:
            parts = zip(*(tensor.split(at_once) for tensor in inputs), strict=True)
            scores = [score(*map(_fast_layout, part)).float() for part in parts]
        # Casts of the weights that autocast keeps from in here have no graph; not every torch makes them anew.
        torch.clear_autocast_cache()
        return torch.cat(scores)

    def choose(
        self, scores: Tensor, label: Tensor, pooling: SnippetPooling, generator: torch.Generator | None = None
    ) -> Tensor:
        """Places of the snippets to learn from, in order of time. Shape: (B, m, K), (B,) or (B, K) -> (B, n)."""
        subsets = candidate_subsets(scores.shape[1], self, generator).to(scores.device)
        if self.rule == "random":
            best = torch.randint(len(subsets), (len(scores),), generator=generator).to(scores.device)
        else:
            best = subset_costs(scores, label, subsets, pooling, self.rule).argmin(dim=1)
        return subsets[best]


def candidate_subsets(
    snippets: int, strategy: PrincipalBackpropagation, generator: torch.Generator | None = None
) -> Tensor:
    """Subsets that a rule chooses from, each in order of time, none twice unless partitions draw it. Shape: (Q, n)."""
    chosen, number = strategy.chosen, strategy.number
    if strategy.candidates == "partitions":
        orders = torch.rand(max(1, number * chosen // snippets), snippets, generator=generator).argsort(dim=1)
        return orders.view(-1, chosen).sort(dim=1).values
    if strategy.candidates == "all" or comb(snippets, chosen) <= number:
        return torch.tensor(list(combinations(range(snippets), chosen)))
    found: dict[tuple[int, ...], None] = {}
    while len(found) < number:
        draws = torch.rand(number, snippets, generator=generator).argsort(dim=1)[:, :chosen].sort(dim=1).values
        found.update(dict.fromkeys(map(tuple, draws.tolist())))
    return torch.tensor(list(found)[:number])


def subset_costs(scores: Tensor, label: Tensor, subsets: Tensor, pooling: SnippetPooling, rule: Rule) -> Tensor:
    """What a rule minimises, for every video and candidate. Shape: (B, m, K), (B,), (Q, n) -> (B, Q)."""
    pooled = pooling.pool_subsets(scores, subsets)
    if rule == "max":
        return -cross_entropies(pooled, label)
    whole = pooling(scores).unsqueeze(1)
    if rule == "kl":
        return divergences(whole, pooled)
    return (cross_entropies(pooled, label) - cross_entropies(whole, label)).abs()


def divergences(whole: Tensor, parts: Tensor) -> Tensor:
    """KL(p || p_j) between the softmax of scores, p the whole's. Shape: (B, 1, K), (B, Q, K) -> (B, Q)."""
    log_whole = whole.log_softmax(dim=-1)
    return (log_whole.exp() * (log_whole - parts.log_softmax(dim=-1))).sum(dim=-1)


def cross_entropies(scores: Tensor, label: Tensor) -> Tensor:
    """Softmax cross-entropy of each answer; where a video has several labels, the mean over them.

    Shape: (B, Q, K), (B,) or 0/1 (B, K) -> (B, Q).
    """
    log_probabilities = scores.log_softmax(dim=-1)
    if label.dim() == 1:
        places = label.view(-1, 1, 1).expand(-1, scores.shape[1], 1)
        return -log_probabilities.gather(-1, places).squeeze(-1)
    shares = label / label.sum(dim=1, keepdim=True).clamp_min(1)
    return -(log_probabilities * shares.unsqueeze(1)).sum(dim=-1)


def take_snippets(snippets: Tensor, chosen: Tensor) -> Tensor:
    """The chosen ones of every video. Shape: (B, m, ...), (B, n) -> (B, n, ...)."""
    return snippets[torch.arange(len(snippets), device=chosen.device).unsqueeze(1), chosen]


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Eval mode, and afterwards for every module the mode that it had: frozen batch norms stay frozen."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _fast_layout(tensor: Tensor) -> Tensor:
    """Pictures with channels last on the CPU, where convolutions without graph run a quarter faster on them."""
    if tensor.dim() < 4 or tensor.device.type != "cpu":
        return tensor
    return tensor.movedim(-3, -1).contiguous().movedim(-1, -3)
