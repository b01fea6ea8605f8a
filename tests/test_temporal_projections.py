"""Temporal squeeze and pixel-wise projection: what linear algebra and the thesis' tables promise."""

import pytest
import torch

from videozoo.errors import SettingError
from videozoo.representations.pixel_projection import (
    PERCEPTRONS,
    PixelProjection,
    appearance_weights,
    orthonormal,
    project,
)
from videozoo.representations.temporal_squeeze import ACTIVATIONS, TemporalSqueeze, coefficients


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# Temporal squeeze


def test_squeeze_projection_is_orthogonal_and_does_not_depend_on_the_basis():
    values = torch.randn(2, 10, 50, dtype=torch.float64)
    basis = torch.randn(2, 10, 3, dtype=torch.float64)
    found = basis @ coefficients(values, basis, ridge=0)
    residual = values - found
    assert (basis.mT @ residual).abs().max() < 1e-12
    torch.testing.assert_close(basis @ coefficients(found, basis, ridge=0), found, rtol=0, atol=1e-12)
    energy = [tensor.square().sum(dim=1) for tensor in (values, found, residual)]
    torch.testing.assert_close(energy[0], energy[1] + energy[2], rtol=0, atol=1e-11)
    projector = basis @ coefficients(torch.eye(10, dtype=torch.float64).expand(2, -1, -1), basis, ridge=0)
    torch.testing.assert_close(projector, projector.mT, rtol=0, atol=1e-12)
    mixing = torch.randn(2, 3, 3, dtype=torch.float64)
    other = (basis @ mixing) @ coefficients(values, basis @ mixing, ridge=0)
    torch.testing.assert_close(other, found, rtol=0, atol=1e-10)
    torch.testing.assert_close(
        mixing @ coefficients(values, basis @ mixing, ridge=0), coefficients(values, basis, ridge=0)
    )


def test_squeeze_loses_nothing_when_it_keeps_every_frame():
    module = TemporalSqueeze(frames=6, squeezed=6, independence="qr").double()
    _, loss = module.forward_with_loss(torch.randn(2, 6, 3, 8, 8, dtype=torch.float64))
    assert loss < 1e-5  # what the ridge and the floor under the root leave


def test_squeeze_loses_nothing_of_frames_in_its_span():
    module = TemporalSqueeze(frames=10, squeezed=3).double()
    clip = torch.randn(1, 10, 3, 8, 8, dtype=torch.float64)
    for _ in range(60):  # the basis follows the frames' means: a fixed point of projecting on it
        basis = module.basis(clip)[0, 0]
        clip = (basis @ coefficients(clip.flatten(2)[0], basis, ridge=0)).view_as(clip)
    _, loss = module.forward_with_loss(clip)
    assert loss < 1e-5


def test_squeeze_sees_pixels_alone_and_frames_only_by_their_mean():
    module = TemporalSqueeze()
    clip = torch.randn(1, 10, 3, 6, 7)
    order = torch.randperm(3 * 6 * 7)
    shuffled = clip.flatten(2)[:, :, order].view_as(clip)
    expected = module(clip).flatten(2)[:, :, order].view(1, 3, 3, 6, 7)
    torch.testing.assert_close(module(shuffled), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(module.basis(shuffled), module.basis(clip))


def test_squeeze_parameters():
    for frames, squeezed, count in ((10, 3, 400), (64, 16, 69632), (16, 4, 1280)):
        assert parameters(TemporalSqueeze(frames=frames, squeezed=squeezed)) == count


def test_squeezed_pictures_of_a_still_clip_are_multiples_of_its_frame():
    frame = torch.randn(1, 1, 3, 6, 7)
    pictures = TemporalSqueeze()(frame.expand(-1, 10, -1, -1, -1))[0].flatten(1)
    factors = pictures @ frame.flatten() / frame.square().sum()
    torch.testing.assert_close(pictures, factors[:, None] * frame.flatten(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("first", ACTIVATIONS)
@pytest.mark.parametrize("second", ACTIVATIONS)
def test_squeeze_with_every_activation(first, second):
    module = TemporalSqueeze(activations=(first, second))
    for clip in (torch.randn(2, 10, 3, 5, 5), torch.zeros(1, 10, 3, 5, 5)):
        pictures, loss = module.forward_with_loss(clip.requires_grad_())
        (pictures.sum() + loss).backward()
        assert torch.isfinite(pictures).all()
        assert torch.isfinite(loss)
        assert all(torch.isfinite(parameter.grad).all() for parameter in module.parameters())


def test_squeeze_starts_well_conditioned():
    conditions = []
    for seed in range(20):
        torch.manual_seed(seed)
        clip = (torch.randn(20, 1, 1, 1, 1) * 2).expand(-1, 10, 3, 2, 2)  # still clips of many brightnesses
        conditions.append(torch.linalg.cond(TemporalSqueeze().basis(clip)).max())
    assert torch.stack(conditions).median() < 10
    assert max(conditions) < 100


def test_squeeze_refuses_bad_settings():
    for options, text in (
        ({"squeezed": 11}, "squeezed 11"),
        ({"activations": ("sigmoid", "gelu")}, "leaky_relu"),
        ({"independence": "lu"}, "identity or qr"),
    ):
        with pytest.raises(SettingError, match=text):
            TemporalSqueeze(**options)


# Pixel-wise projection


def random_basis(dimension: int, frames: int = 5) -> torch.Tensor:
    return torch.randn(1, 2, frames, dimension, 4, 6, dtype=torch.float64)


@pytest.mark.parametrize("dimension", [1, 2, 3, 4])
def test_pixel_projection_is_the_least_squares_projection(dimension):
    basis, segments = random_basis(dimension), torch.randn(1, 2, 5, 3, 4, 6, dtype=torch.float64)
    directions = orthonormal(basis, ridge=0)
    static = project(segments, directions)
    columns, values = basis.permute(0, 1, 4, 5, 2, 3), segments.permute(0, 1, 4, 5, 2, 3)
    expected = columns @ torch.linalg.lstsq(columns, values).solution
    torch.testing.assert_close(static.permute(0, 1, 4, 5, 2, 3), expected)
    residual = segments - static
    assert torch.einsum("bstdhw,bstchw->bsdchw", basis, residual).abs().max() < 1e-11
    torch.testing.assert_close(project(static, directions), static)
    torch.testing.assert_close(segments.square().sum(dim=2), static.square().sum(dim=2) + residual.square().sum(dim=2))
    # The dynamic appearance as a weighted sum, and what that means for still clips.
    weights = appearance_weights(directions)
    torch.testing.assert_close((weights.unsqueeze(3) * segments).sum(dim=2), residual.mean(dim=2))
    kappa = weights.sum(dim=2)
    assert ((kappa >= -1e-12) & (kappa <= 1 + 1e-12)).all()
    rest = (weights * 5).square().sum(dim=2)
    torch.testing.assert_close(kappa, rest / 5)


def test_pixel_projection_on_all_frames_leaves_nothing():
    segments = torch.randn(1, 2, 4, 3, 4, 6, dtype=torch.float64)
    assert (segments - project(segments, orthonormal(random_basis(4, 4), ridge=0))).abs().max() < 1e-9


def test_pixel_projection_on_the_constant_is_the_mean():
    segments = torch.randn(1, 2, 5, 3, 4, 6, dtype=torch.float64)
    directions = orthonormal(torch.ones(1, 2, 5, 1, 4, 6, dtype=torch.float64), ridge=0)
    assert appearance_weights(directions).abs().max() < 1e-15
    energy = (segments - project(segments, directions)).square().sum(dim=2)
    torch.testing.assert_close(energy, 5 * segments.var(dim=2, unbiased=False))


def test_pixel_projection_survives_parallel_and_empty_columns():
    column = torch.randn(1, 1, 5, 1, 4, 6)
    parallel, empty = column.expand(-1, -1, -1, 2, -1, -1), torch.zeros(1, 1, 5, 2, 4, 6)
    segments = torch.randn(1, 1, 5, 3, 4, 6)
    alone = project(segments, orthonormal(column))
    torch.testing.assert_close(project(segments, orthonormal(parallel)), alone, rtol=1e-3, atol=1e-3)
    assert project(segments, orthonormal(empty)).abs().max() == 0


@pytest.mark.parametrize("dimension", [1, 3])
def test_dynamic_appearance_of_still_clips(dimension):
    module = PixelProjection(frames=4, dimension=dimension).double().eval()
    clip = torch.randn(1, 8, 3, 24, 17, dtype=torch.float64)
    image = torch.randn(1, 1, 3, 24, 17, dtype=torch.float64)
    kappa = appearance_weights(orthonormal(module.basis(image.expand(-1, 4, -1, -1, -1)[None]))).sum(dim=2)
    torch.testing.assert_close(module(image.expand(-1, 4, -1, -1, -1)), kappa.unsqueeze(2) * image)
    appearance, loss = module.forward_with_loss(clip)
    residual = (clip - module.static(clip)).unflatten(1, (2, 4))
    torch.testing.assert_close(appearance, residual.mean(dim=2))
    torch.testing.assert_close(loss, residual.square().sum(dim=2).mean())


def test_perceptron_parameters_are_those_of_the_thesis():
    expected = {1: 16644, 2: 7383, 3: 7866, 4: 23280, 5: 35544, 6: 10008, 7: 9686}
    assert set(expected) == set(PERCEPTRONS)
    for configuration, count in expected.items():
        assert parameters(PixelProjection(perceptron=configuration)) == count
    for frames, count in {4: 6103, 6: 7039, 16: 68332}.items():
        assert parameters(PixelProjection(frames=frames)) == count


@pytest.mark.parametrize(("kernel_size", "stride", "width"), [(7, 1, 12), (7, 4, 24), (11, 8, 24)])
def test_pixel_projection_at_other_strides(kernel_size, stride, width):
    module = PixelProjection(frames=3, kernel_size=kernel_size, stride=stride, width=width).eval()
    assert module(torch.randn(1, 6, 3, 25, 18)).shape == (1, 2, 3, 25, 18)


def test_pixel_projection_trains_its_own_objective():
    module = PixelProjection(frames=4, stride=4, kernel_size=5)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2)
    still, moving = torch.rand(4, 1, 3, 16, 16), torch.randn(4, 8, 3, 16, 16)
    clip = 2 * still + 0.2 * moving
    losses = []
    for _ in range(30):
        _, loss = module.forward_with_loss(clip)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]


def test_pixel_projection_refuses_bad_settings():
    with pytest.raises(SettingError, match="dimension 9"):
        PixelProjection(dimension=9)
    with pytest.raises(SettingError, match="stride 0"):
        PixelProjection(stride=0)
    with pytest.raises(SettingError, match=r"perceptron 8.*1, 2, 3"):
        PixelProjection(perceptron=8)
