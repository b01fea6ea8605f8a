"""Every position looks at every other one: weighted sums of values whose weights are never stored as a whole.

The matrix of weights between all positions has (THW)^2 entries, 157 MB a clip at 8 x 28 x 28. Each function here
computes ``weights(query, key) @ value`` without keeping it for the backward pass. M is the number of keys:

    softmax  w_ij = softmax over j of q_i . k_j      (Gaussian forms of Wang et al., Non-local Neural Networks, 2018)
    dot      w_ij = q_i . k_j / M
    relu     w_ij = max(q_i . k_j, 0) / M            (concatenation, and the cosine of unit vectors)
"""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

Affinity = Literal["softmax", "dot", "relu"]

BLOCK = 512  # positions a side of a block of weights: 1 MB, which stays in a processor's cache
WIDE = 128  # from this many channels on, products cost more than exponentials, and fewer of them pay
CHUNK = 2**22  # weights computed at once where a chunk of queries meets all keys: 16 MB


def affinity_weights(query: Tensor, key: Tensor, affinity: Affinity) -> Tensor:
    """The weights themselves, for pictures and for proofs. Shape: (B, N, D), (B, M, D) -> (B, N, M)."""
    products = query @ key.transpose(1, 2)
    if affinity == "softmax":
        return products.softmax(dim=-1)
    return (products if affinity == "dot" else products.relu()) / key.shape[1]


def gather(query: Tensor, key: Tensor, value: Tensor, affinity: Affinity) -> Tensor:
    """Sum over the keys of weight times value. Shape: (B, N, D), (B, M, D), (B, M, E) -> (B, N, E)."""
    if affinity == "dot":  # (q k') v = q (k' v), E / M of the multiply-adds
        return query @ (key.transpose(1, 2) @ value / key.shape[1])
    if affinity == "relu":
        return _gather_by_chunks(query, key, value)
    if query is key and _trains_on_cpu(query):
        return _SymmetricSoftmax.apply(query, value)
    return _gather_fused(query, key, value)


def _trains_on_cpu(query: Tensor) -> bool:
    """Whether our own backward pass is the faster one; compilers and exporters know the fused one alone."""
    full = query.device.type == "cpu" and query.shape[-1] >= WIDE and not torch.is_autocast_enabled("cpu")
    return full and torch.is_grad_enabled() and not torch.compiler.is_compiling()


def _gather_fused(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Fused attention with one head; its kernels want keys and values of one width, zeros widen the values."""
    width = value.shape[-1]
    padded = F.pad(value, (0, query.shape[-1] - width)) if query.shape[-1] > width else value
    heads = (query.unsqueeze(1), key.unsqueeze(1), padded.unsqueeze(1))
    return F.scaled_dot_product_attention(*heads, scale=1.0).squeeze(1)[..., :width]


def _gather_by_chunks(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """A few queries at a time; the backward pass computes their weights again."""

    def some(queries: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return affinity_weights(queries, key, "relu") @ value

    rows = max(1, CHUNK // (key.shape[0] * key.shape[1]))
    gathered = [checkpoint(some, queries, key, value, use_reentrant=False) for queries in query.split(rows, dim=1)]
    return torch.cat(gathered, dim=1)


class _SymmetricSoftmax(torch.autograd.Function):
    """softmax(q q') v where queries are the keys: 5.5 products of (THW)^2 D multiply-adds a step instead of 7.

    q q' being symmetric, the backward pass needs each pair of blocks of it once for both directions, and the two
    gradients of q (as query and as key) come from one product. Only the result and each row's logarithm of the sum of
    exponentials are kept. Fused attention on the CPU splits its backward pass by clip and head alone, and so leaves
    all cores but one idle on a single clip.
    """

    @staticmethod
    def forward(ctx: Any, query: Tensor, value: Tensor) -> Tensor:
        gathered = torch.empty_like(value)
        normaliser = torch.empty_like(query[..., :1])
        for start in range(0, query.shape[1], BLOCK):
            block = slice(start, start + BLOCK)
            products = query[:, block] @ query.transpose(1, 2)
            largest = products.amax(dim=-1, keepdim=True)
            weights = products.sub_(largest).exp_()
            total = weights.sum(dim=-1, keepdim=True)
            gathered[:, block] = weights @ value / total
            normaliser[:, block] = largest + total.log()
        ctx.save_for_backward(query, value, gathered, normaliser)
        return gathered

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """With P the weights and dP = dY V': dV = P' dY, and dQ = (S + S') Q where S = P * (dP - rowsum(P * dP))."""
        query, value, gathered, normaliser = ctx.saved_tensors
        d_query, d_value = torch.zeros_like(query), torch.zeros_like(value)
        centre = (gradient * gathered).sum(dim=-1, keepdim=True)  # rowsum(P * dP)
        tensors = (query, value, gradient, normaliser, centre, d_query, d_value)
        blocks = list(zip(*(tensor.split(BLOCK, dim=1) for tensor in tensors), strict=True))
        for place, (q_i, v_i, dy_i, n_i, c_i, dq_i, dv_i) in enumerate(blocks):
            weights = (q_i @ q_i.transpose(1, 2)).sub_(n_i).exp_()
            dv_i.baddbmm_(weights.transpose(1, 2), dy_i)
            slope = (dy_i @ v_i.transpose(1, 2)).sub_(c_i).mul_(weights)
            dq_i.baddbmm_(slope + slope.transpose(1, 2), q_i)
            for q_j, v_j, dy_j, n_j, c_j, dq_j, dv_j in blocks[place + 1 :]:
                products = q_i @ q_j.transpose(1, 2)
                weights = (products - n_i).exp_()  # of i looking at j
                dv_j.baddbmm_(weights.transpose(1, 2), dy_i)
                slope = (dy_i @ v_j.transpose(1, 2)).sub_(c_i).mul_(weights)
                weights = products.sub_(n_j.transpose(1, 2)).exp_()  # of j looking at i, transposed
                dv_i.baddbmm_(weights, dy_j)
                slope += (v_i @ dy_j.transpose(1, 2)).sub_(c_j.transpose(1, 2)).mul_(weights)
                dq_i.baddbmm_(slope, q_j)
                dq_j.baddbmm_(slope.transpose(1, 2), q_i)
        return d_query, d_value
