"""The solver's operators and its unrolled form: adjoints, minimisers, energies, gradients."""

import pytest
import torch

from videozoo.representations.flow_losses import end_point_error, known_pixels, tv_l1_energy
from videozoo.representations.tv_l1 import (
    DataTerm,
    central_difference,
    divergence,
    flow_gradient,
    linearise,
    standard_filters,
    threshold_step,
    tv_l1_iteration,
)
from videozoo.representations.tv_l1_unrolled import unrolled_tv_l1
from videozoo.representations.warping import warp

THETA, TAU, DATA_WEIGHT, EPSILON = 0.3, 0.25, 0.15, 1e-12
NUMBERS = (DATA_WEIGHT * THETA, EPSILON * (TAU / THETA) ** 2)


def scaled_filters(iterations):
    return standard_filters(iterations).double() * torch.tensor([THETA, TAU / THETA]).double().view(2, 1, 1, 1)


def random_dual(*shape):
    p = torch.randn(2, 2, *shape, dtype=torch.float64)
    p[0, ..., -1] = 0
    p[1, ..., -1, :] = 0
    return p


def random_problem(batch=2, height=5, width=6, iterations=3):
    """A flow, dual variables, a data term whose threshold bites at some pixels, and kernels off their standard."""
    gradient = torch.randn(2, batch, height, width, dtype=torch.float64)
    slope = -gradient / (gradient.square().sum(dim=0) + EPSILON)
    data = DataTerm(gradient, slope, 0.1 * torch.randn(batch, height, width, dtype=torch.float64))
    filters = scaled_filters(iterations) + 0.05 * torch.randn(iterations, 2, 2, 2, 2, dtype=torch.float64)
    u = torch.randn(2, batch, height, width, dtype=torch.float64)
    return u, 0.3 * random_dual(batch, height, width), data, filters


def iterate(u, p, data, filters, *numbers):
    for row in filters:
        u, p = tv_l1_iteration(u, p, data, row, *numbers)
    return u, p


@pytest.mark.parametrize("size", [(5, 7), (1, 4), (4, 1), (1, 1)])
def test_divergence_is_minus_the_adjoint_of_the_gradient(size):
    kernels = standard_filters(1)[0].double()
    u, p = torch.randn(2, 3, *size, dtype=torch.float64), random_dual(3, *size)
    left = (flow_gradient(u, kernels[1]) * p).sum()
    right = -(u * divergence(p, kernels[0])).sum()
    torch.testing.assert_close(left, right, rtol=0, atol=1e-12)


def test_differences_by_hand():
    u = torch.tensor([[1.0, 4.0, 9.0], [2.0, 6.0, 12.0]]).expand(2, 1, 2, 3)
    x, y = flow_gradient(u, standard_filters(1)[0, 1])
    assert x[0, 0].tolist() == [[3, 5, 0], [4, 6, 0]]
    assert y[0, 0].tolist() == [[1, 2, 3], [0, 0, 0]]
    p = torch.zeros(2, 2, 1, 2, 3)
    p[0, :, 0, :, :2] = torch.tensor([5.0, 7.0])
    assert divergence(p, standard_filters(1)[0, 0])[0, 0].tolist() == [[5, 2, -7], [5, 2, -7]]
    central = central_difference(torch.tensor([[1.0, 4.0, 9.0]]).view(1, 1, 1, 3))
    assert central[0, 0].tolist() == [[1.5, 4.0, 2.5]]
    assert central[0, 1].tolist() == [[0, 0, 0]]
    kernels = torch.tensor([-0.5, 0.0, 0.5]).repeat(2, 1)
    torch.testing.assert_close(central_difference(torch.rand(2, 1, 4, 5), kernels).shape, (2, 2, 4, 5))


def test_central_kernels_default_to_central_differences():
    image = torch.rand(2, 1, 4, 5)
    kernels = torch.tensor([-0.5, 0.0, 0.5]).repeat(2, 1)
    torch.testing.assert_close(central_difference(image, kernels), central_difference(image))


def test_threshold_step_is_the_minimiser():
    """Against a search over v around the answer, at every pixel."""
    u, _, data, _ = random_problem()
    norm = data.gradient.square().sum(dim=0) + EPSILON

    def energy(v):
        rho = -norm * (data.offset + (data.slope * v).sum(dim=0))
        return (v - u).square().sum(dim=0) / (2 * THETA) + DATA_WEIGHT * rho.abs()

    v = threshold_step(u, data, DATA_WEIGHT * THETA)
    assert torch.allclose(data.residual(v, EPSILON), -norm * (data.offset + (data.slope * v).sum(dim=0)))
    best = energy(v)
    for _ in range(200):
        other = v + 0.3 * torch.rand(()) ** 3 * torch.randn_like(v)
        assert (energy(other) >= best - 1e-12).all()


def test_dual_variables_stay_in_the_unit_disc():
    u, p, data, _ = random_problem(iterations=1)
    p = p / p.square().sum(dim=0).sqrt().clamp_min(1)
    _, p = unrolled_tv_l1(u, p, data, scaled_filters(40), *NUMBERS)
    assert p.square().sum(dim=0).sqrt().max() <= 1 + 1e-12


def test_relaxed_energy_falls_with_iterations():
    """Equation 2 with the best v, on a pair of noise."""
    frame1, frame2 = 255 * torch.rand(2, 1, 1, 24, 32, dtype=torch.float64)
    data = linearise(frame2, central_difference(frame2), frame1, None, EPSILON)
    zero = torch.zeros_like(data.gradient)
    kernels = standard_filters(1)[0, 1].double()

    def energy(iterations):
        u, _ = unrolled_tv_l1(zero, torch.zeros(2, *zero.shape).double(), data, scaled_filters(iterations), *NUMBERS)
        v = threshold_step(u, data, NUMBERS[0])
        variation = flow_gradient(u, kernels).square().sum(dim=0).sqrt().sum()
        coupling = (u - v).square().sum() / (2 * THETA)
        return (variation + coupling + DATA_WEIGHT * data.residual(v, EPSILON).abs().sum()).item()

    energies = [energy(iterations) for iterations in (0, 1, 10, 50, 200)]
    assert energies == sorted(energies, reverse=True)
    assert energies[-1] < 0.8 * energies[0]


def test_unrolled_form_equals_the_readable_one():
    u, p, data, filters = random_problem()
    inputs = [u, *data, filters]
    for tensor in inputs:
        tensor.requires_grad_()
    fast, plain = (run(u, p, data, filters, 0.2, EPSILON) for run in (unrolled_tv_l1, iterate))
    cotangents = [torch.randn_like(tensor) for tensor in plain]
    for ours, theirs in zip(fast, plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-13)
    gradients = (torch.autograd.grad(outputs, inputs, cotangents) for outputs in (fast, plain))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_unrolled_gradient_equals_finite_differences():
    u, p, data, filters = random_problem(batch=1, height=4, width=4, iterations=2)
    inputs = [tensor.requires_grad_() for tensor in (u, *data, filters)]
    assert torch.autograd.gradcheck(
        lambda u, g, s, o, f: unrolled_tv_l1(u, p, DataTerm(g, s, o), f, 0.2, EPSILON), inputs
    )


def test_unrolled_form_leaves_its_inputs_alone():
    u, p, data, filters = random_problem()
    before = [tensor.clone() for tensor in (u, p, *data, filters)]
    with torch.no_grad():
        unrolled_tv_l1(u, p, data, filters, *NUMBERS)
    assert all(torch.equal(a, b) for a, b in zip(before, (u, p, *data, filters), strict=True))


@pytest.mark.parametrize("border", ["clamp", "zeros", "extrapolate"])
def test_zero_flow_warps_to_the_same_bits(border):
    image = torch.randn(2, 3, 7, 9)
    assert torch.equal(warp(image, torch.zeros(2, 2, 7, 9), border), image)


def test_warp_borders_by_hand():
    ramp = torch.arange(1.0, 5.0).view(1, 1, 1, 4)
    flow = torch.zeros(1, 2, 1, 4)  # a single row: nothing moves along y
    flow[:, 0] = torch.tensor([-0.5, 0.25, 1.0, 1.0])
    assert warp(ramp, flow, "clamp").flatten().tolist() == [1.0, 2.25, 4.0, 4.0]
    assert warp(ramp, flow, "zeros").flatten().tolist() == [0.5, 2.25, 4.0, 0.0]
    # displacements times 3/4: -0.375 is left of the frame, 3.75 continues the ramp
    assert warp(ramp, flow, "extrapolate").flatten().tolist() == [0.0, 2.1875, 3.75, 4.75]


def test_clamped_warp_equals_grid_sample():
    image = torch.randn(2, 3, 6, 8, dtype=torch.float64)
    flow = 3 * torch.randn(2, 2, 6, 8, dtype=torch.float64)
    x = 2 * (torch.arange(8) + flow[:, 0]) / 7 - 1
    y = 2 * (torch.arange(6)[:, None] + flow[:, 1]) / 5 - 1
    for border, mode in (("clamp", "border"), ("zeros", "zeros")):
        expected = torch.nn.functional.grid_sample(
            image, torch.stack([x, y], dim=-1), padding_mode=mode, align_corners=True
        )
        torch.testing.assert_close(warp(image, flow, border), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("border", ["clamp", "zeros", "extrapolate"])
def test_warp_gradient_equals_finite_differences(border):
    image = torch.randn(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    flow = (2 * torch.randn(1, 2, 4, 5, dtype=torch.float64)).requires_grad_()
    assert torch.autograd.gradcheck(lambda i, f: warp(i, f, border), [image, flow])


def test_energy_of_a_known_flow():
    frame = torch.arange(12.0).view(1, 1, 3, 4)
    flow = torch.zeros(1, 2, 3, 4)
    flow[:, 1, 1:] = 2.0  # one step along y: 4 of 12 pixels jump by 2
    still = torch.zeros_like(flow)
    assert tv_l1_energy(frame, frame, still).item() == 0
    assert tv_l1_energy(frame, frame + 3, still, data_weight=0.5).item() == 1.5
    assert tv_l1_energy(frame, frame, flow, data_weight=0).item() == pytest.approx(8 / 12)
    corner = torch.zeros(1, 2, 3, 4)
    corner[:, 0, 2, 3] = 1.0
    assert tv_l1_energy(frame, frame, corner, data_weight=0).item() == pytest.approx(2 / 12)
    assert tv_l1_energy(frame, frame, corner, data_weight=0, isotropic=True).item() == pytest.approx(2 / 12, abs=1e-5)
    corner[:, 0, 2, 3], corner[:, 0, 0, 0] = 0.0, 1.0
    assert tv_l1_energy(frame, frame, corner, data_weight=0, isotropic=True).item() == pytest.approx(
        2**0.5 / 12, abs=1e-5
    )


def test_end_point_error_leaves_unknown_pixels_out():
    target = torch.zeros(2, 2, 2, 3)
    target[0, 0, 0, 0] = 1.6666668e9
    target[0, :, 1, 1] = torch.tensor([3.0, 4.0])
    flow = torch.zeros_like(target, requires_grad=True)
    assert known_pixels(target).sum(dim=(1, 2)).tolist() == [5, 6]
    error = end_point_error(flow, target)
    assert error.tolist() == pytest.approx([1.0, 0.0], abs=1e-9)
    error.sum().backward()
    assert flow.grad.isfinite().all()
    assert flow.grad[0, :, 0, 0].tolist() == [0, 0]
    everywhere_unknown = torch.full_like(target, 2e9)
    assert end_point_error(flow, everywhere_unknown).tolist() == [0, 0]
