"""Motion representations: the recorded arrays, what mathematics promises, and what they refuse."""

from pathlib import Path

import numpy as np
import pytest
import torch

from videozoo.errors import SettingError
from videozoo.representations import REPRESENTATIONS
from videozoo.representations.band_pass import MotionBandPass, laplacian_of_gaussian
from videozoo.representations.dynamic_image import DynamicImage, rank_pooling_weights
from videozoo.representations.rgb_difference import RGBDifference

RECORDED = np.load(Path(__file__).parent / "data" / "motion_representations.npz")
OURS = ("temporal_squeeze", "pixel_projection", "band_pass", "rgb_difference", "dynamic_image")


def recorded(name: str) -> torch.Tensor:
    return torch.from_numpy(RECORDED[name])


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("name", OURS)
def test_shapes_gradient_and_saving(name, tmp_path):
    representation = REPRESENTATIONS[name]()
    frames = representation.frames_per_segment
    clip = torch.randn(2, 3 * frames, 3, 33, 47, requires_grad=True)
    answer = representation.eval()(clip)
    assert answer.shape == (2, 3 * representation.out_frames, representation.out_channels, 33, 47)
    answer.square().sum().backward()
    assert torch.isfinite(clip.grad).all()
    assert clip.grad.abs().sum() > 0
    fresh = REPRESENTATIONS[name]().eval()
    fresh.load_state_dict(representation.state_dict())
    assert torch.equal(fresh(clip), answer)


@pytest.mark.parametrize("name", OURS)
def test_segments_are_independent(name):
    representation = REPRESENTATIONS[name]().eval()
    frames = representation.frames_per_segment
    clip = torch.randn(1, 3 * frames, 3, 16, 16)
    changed = clip.clone()
    changed[:, frames : 2 * frames] += torch.randn(1, frames, 3, 16, 16)
    apart = (representation(clip) - representation(changed)).flatten(2).abs().amax(dim=2)[0]
    before, middle, after = apart.split(representation.out_frames)
    assert middle.min() > 0
    assert max(before.max(), after.max()) < 1e-5  # batched products may round differently


@pytest.mark.parametrize("name", [name for name in OURS if REPRESENTATIONS[name]().frames_per_segment > 1])
def test_refuses_clips_that_are_no_whole_segments(name):
    representation = REPRESENTATIONS[name]()
    with pytest.raises(SettingError, match=f"multiple of {representation.frames_per_segment}"):
        representation(torch.randn(1, representation.frames_per_segment + 1, 3, 16, 16))


@pytest.mark.parametrize("name", ["temporal_squeeze", "pixel_projection"])
def test_projections_are_computed_in_float32_under_autocast(name):
    representation = REPRESENTATIONS[name]().eval()
    clip = torch.randn(1, representation.frames_per_segment, 3, 16, 16)
    plain = representation.forward_with_loss(clip)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = representation.forward_with_loss(clip)
        alone = representation(clip)
    torch.testing.assert_close(mixed, plain)
    torch.testing.assert_close(alone, plain[0])


# Motion band-pass


def test_kernels_equal_the_recorded_ones():
    for size, sigma in ((9, 1.1), (7, 0.9), (3, 0.9)):
        name = f"log_{size}_{sigma}"
        for normalisation, kind in (("none", "raw_float64"), ("sum", "normalised_float64")):
            kernel = laplacian_of_gaussian(size, sigma, normalisation)
            torch.testing.assert_close(kernel, recorded(f"{name}.{kind}"), rtol=1e-12, atol=1e-15)
    assert laplacian_of_gaussian(9, 1.1, "l1").abs().sum() == pytest.approx(1)
    assert laplacian_of_gaussian(9, 1.1, "peak")[4, 4] == pytest.approx(-1)


def test_band_pass_refuses_a_sum_of_nearly_zero():
    with pytest.raises(SettingError, match=r"sums to -?\d.*normalisation l1"):
        MotionBandPass(kernel_size=13, sigma=1.1)
    MotionBandPass(kernel_size=13, sigma=1.1, normalisation="l1")
    with pytest.raises(SettingError, match="odd"):
        MotionBandPass(kernel_size=8)
    with pytest.raises(SettingError, match="stride 2"):
        MotionBandPass(stride=2)
    with pytest.raises(SettingError, match="peak"):
        MotionBandPass(normalisation="max")


def loaded_band_pass(arrays, case: str, stride: int) -> MotionBandPass:
    space, time = (torch.from_numpy(arrays[f"{case}.w.{name}.weight"]) for name in ("conv_s", "conv_t"))
    module = MotionBandPass(in_channels=len(space), kernel_size=space.shape[-1], stride=stride, normalisation="l1")
    module.load_state_dict({"space": space, "time": time})
    return module


def check_band_pass(arrays, case: str, stride: int, segments: int) -> None:
    """Output, gradient and the output of the spatial step against the authors' code."""
    module = loaded_band_pass(arrays, case, stride)
    clip = torch.from_numpy(arrays[f"{case}.in"])
    clip = clip.flatten(1, 2) if stride == 3 else clip.unflatten(0, (-1, segments))
    clip.requires_grad_()
    answer = module(clip)
    answer.backward(torch.from_numpy(arrays[f"{case}.cotangent"]).view_as(answer))
    found = {
        "out": answer.flatten(0, 1),
        "grad_in": clip.grad.reshape(arrays[f"{case}.in"].shape),
        "spatial_out": module.filter_space(clip).flatten(0, 1),
    }
    for name, tensor in found.items():
        if f"{case}.{name}" not in arrays:
            continue  # left out of the small copy
        expected = torch.from_numpy(arrays[f"{case}.{name}"])
        tolerance = 3e-5 if name == "grad_in" else 1e-5
        assert (tensor - expected).abs().max() <= tolerance * expected.abs().max(), (case, name)


def test_band_pass_equals_the_recorded_one():
    check_band_pass(RECORDED, "three_step_random", 3, 4)
    check_band_pass(RECORDED, "stride1_k7_random", 1, 4)


@pytest.mark.realdata
def test_band_pass_equals_every_recorded_case(reference):
    arrays = reference("blocks/mbpm.npz")
    for case in ("three_step_constructor", "three_step_random"):
        check_band_pass(arrays, case, 3, 4)
    for case, segments in (("stride1_k7_constructor", 4), ("stride1_k7_random", 4), ("stride1_k3_constructor", 5)):
        check_band_pass(arrays, case, 1, segments)


@pytest.mark.parametrize("normalisation", ["sum", "l1"])
@pytest.mark.parametrize("stride", [1, 3])
def test_band_pass_ignores_what_does_not_move(stride, normalisation):
    module = MotionBandPass(stride=stride, normalisation=normalisation)
    gain = module.space.abs().sum(dim=(1, 2, 3)).max()  # rounding grows with the kernel's magnitude
    clip, image = torch.randn(1, 6, 3, 20, 22), torch.randn(1, 1, 3, 20, 22)
    assert module(image.expand(-1, 6, -1, -1, -1)).abs().max() < 1e-6 * gain
    assert (module(clip + image) - module(clip)).abs().max() < 3e-6 * gain


def test_band_pass_is_linear_and_blind_to_the_direction_of_time():
    module = MotionBandPass(normalisation="l1").double()
    first, second = torch.randn(2, 1, 6, 3, 20, 22, dtype=torch.float64)
    torch.testing.assert_close(module(2 * first - 3 * second), 2 * module(first) - 3 * module(second))
    reversed_segments = first.unflatten(1, (2, 3)).flip(2).flatten(1, 2)
    torch.testing.assert_close(module(reversed_segments), module(first))
    with torch.no_grad():
        torch.testing.assert_close(module.filter_time(module.filter_space(first)), module(first))


def test_band_pass_keeps_constants_in_space_when_divided_by_its_sum():
    module = MotionBandPass()
    constant = torch.full((1, 3, 3, 20, 20), 0.7)
    torch.testing.assert_close(module.filter_space(constant), constant, rtol=0, atol=1e-3)
    torch.testing.assert_close(module.double().filter_space(constant.double()), constant.double(), rtol=0, atol=1e-4)


def test_band_pass_parameters_and_training():
    assert parameters(MotionBandPass()) == 252
    assert parameters(MotionBandPass(shared=True)) == 84
    module = MotionBandPass(shared=True)
    module(torch.randn(1, 6, 3, 16, 16)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in module.parameters())
    assert not any(parameter.requires_grad for parameter in MotionBandPass(trainable=False).parameters())


def test_band_pass_at_stride_1_keeps_the_frames_and_works_on_maps_smaller_than_its_kernel():
    module = MotionBandPass(in_channels=5, kernel_size=7, sigma=0.9, stride=1)
    assert module(torch.randn(2, 4, 5, 3, 2)).shape == (2, 4, 5, 3, 2)
    assert module(torch.randn(2, 1, 5, 9, 9)).shape == (2, 1, 5, 9, 9)


# RGB difference and dynamic image


@pytest.mark.parametrize("kind", [RGBDifference, DynamicImage])
def test_what_changes_needs_two_frames(kind):
    with pytest.raises(SettingError, match=r"frames 1: .*at least 2"):
        kind(frames=1)


def test_rgb_difference_is_the_difference():
    clip = torch.randn(1, 12, 3, 4, 5)
    answer = RGBDifference()(clip)
    torch.testing.assert_close(answer[0, 1, 3:6], clip[0, 8] - clip[0, 7])
    torch.testing.assert_close(answer.unflatten(2, (5, 3)).sum(dim=2), clip[:, 5::6] - clip[:, ::6])


def test_rank_pooling_equals_the_recorded_weights():
    for frames in (2, 3, 6, 10, 16):
        for weights, name in (("running_mean", "alpha"), ("simple", "alpha_without_running_mean")):
            found = rank_pooling_weights(frames, weights)
            torch.testing.assert_close(found, recorded(f"rank_pooling.T{frames}.{name}"), rtol=1e-13, atol=1e-13)
            assert abs(found.sum()) < 1e-12


def test_dynamic_image_equals_the_recorded_one():
    clip = recorded("rank_pooling.T10.clip")[None]
    image = DynamicImage(frames=10, weights="running_mean", rescale=False)(clip)
    torch.testing.assert_close(image[0, 0], recorded("rank_pooling.T10.dynamic_image"), rtol=1e-5, atol=1e-5)


def test_dynamic_image_has_the_range_of_a_picture():
    module = DynamicImage()
    image = module(5 * torch.randn(2, 12, 3, 8, 8)) * module.std + module.mean
    torch.testing.assert_close(image.amin(dim=(2, 3, 4)), torch.zeros(2, 2), rtol=0, atol=1e-6)
    torch.testing.assert_close(image.amax(dim=(2, 3, 4)), torch.ones(2, 2), rtol=0, atol=1e-6)
    assert torch.isfinite(module(torch.ones(1, 6, 3, 8, 8))).all()
