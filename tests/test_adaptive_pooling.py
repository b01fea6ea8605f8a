"""DATP: the paper's derivatives, what its weights promise, and the network around them."""

import math

import pytest
import torch
from torch.nn import functional as F

from videozoo import create_model
from videozoo.errors import SettingError
from videozoo.evaluation.cost import count_cost
from videozoo.temporal.adaptive_pooling import AdaptivePooling, weighted_pool
from videozoo.temporal.segment_weights import (
    DiscreteWeights,
    GaussianWeights,
    mixture_density,
    random_gaussians,
    segment_times,
    stretch,
)


def double(*shape):
    return torch.rand(*shape, dtype=torch.float64) + 0.1


def test_derivatives_of_the_weights():  # equation 2
    times = torch.linspace(0, 1, 10, dtype=torch.float64)
    shares, means, sigmas = (double(3, 2).requires_grad_() for _ in range(3))
    weights = mixture_density(times, shares, means, sigmas)
    t, m, s = times.view(1, -1, 1), means.unsqueeze(1), sigmas.unsqueeze(1)
    normal = torch.exp(-((t - m) ** 2) / (2 * s**2)) / torch.sqrt(2 * math.pi * s**2)
    expected = (normal, shares.unsqueeze(1) * normal * (t - m) / s**2, 0)
    expected = (*expected[:2], shares.unsqueeze(1) * normal / s * ((t - m) ** 2 / s**2 - 1))
    for place in range(10):
        gradients = torch.autograd.grad(weights[:, place].sum(), (shares, means, sigmas), retain_graph=True)
        for gradient, formula in zip(gradients, expected, strict=True):
            torch.testing.assert_close(gradient, formula[:, place], rtol=1e-12, atol=1e-12)


def test_derivatives_of_the_pooled_scores():  # equation 4, before its sum over classes
    values, weights = double(1, 5, 4), double(1, 5)
    by_values, by_weights = torch.autograd.functional.jacobian(weighted_pool, (values, weights))
    w, v = weights[0], values[0]
    norm = w.norm()
    for i in range(5):
        torch.testing.assert_close(by_values[0, :, 0, i], w[i] / norm * torch.eye(4, dtype=torch.float64))
        formula = (norm**2 * v[i] - w[i] * (w.unsqueeze(1) * v).sum(0)) / norm**3
        torch.testing.assert_close(by_weights[0, :, 0, i], formula)


def test_pooling_by_hand():
    values = torch.randn(2, 5, 3)
    torch.testing.assert_close(weighted_pool(values, torch.ones(2, 5)), math.sqrt(5) * values.mean(1))
    one = F.one_hot(torch.tensor([3, 0]), 5).float()
    torch.testing.assert_close(weighted_pool(values, one), values[[0, 1], [3, 0]])
    weights = torch.rand(2, 5)
    for factor in (1e-25, 1e25):
        torch.testing.assert_close(weighted_pool(values, factor * weights), weighted_pool(values, weights))
    assert weighted_pool(values, torch.zeros(2, 5)).abs().sum() == 0


def test_share_of_a_single_gaussian_does_not_matter():
    values = double(2, 5, 3)
    share = torch.ones(2, 1, dtype=torch.float64, requires_grad=True)
    times = torch.linspace(0, 1, 5, dtype=torch.float64)
    weights = mixture_density(times, share, double(2, 1), double(2, 1))
    (gradient,) = torch.autograd.grad(weighted_pool(values, weights).square().sum(), share)
    assert gradient.abs().max() < 1e-14


def test_parameters_are_valid_whatever_the_numbers():
    gaussians = GaussianWeights(3)
    shares, means, sigmas = gaussians.parameters_of(30 * torch.randn(50, 9))
    assert torch.allclose(shares.sum(1), torch.ones(50))
    assert (means * (1 - means) >= 0).all()
    assert (sigmas >= 0.05).all()
    weights = gaussians(3 * torch.randn(50, 9), 10)
    assert (weights > 0).all()
    assert weights.isfinite().all()


@pytest.mark.parametrize("gaussians", [1, 2, 3])
@pytest.mark.parametrize("source", ["sequence", "maps"])
def test_the_start_is_the_papers_for_every_video(gaussians, source):
    pooling = AdaptivePooling(6, source=source, gaussians=gaussians)
    features = torch.randn(3, 10, 6) if source == "sequence" else torch.randn(3, 10, 6, 7, 7)
    weights = pooling.weights(features)
    assert torch.equal(weights[0], weights[1])
    shares, means, sigmas = pooling.generator.parameters_of(pooling.regress[-1].bias.unsqueeze(0))
    assert shares[0].tolist() == pytest.approx([1 / gaussians] * gaussians)
    assert means[0].tolist() == pytest.approx([k / (gaussians + 1) for k in range(1, gaussians + 1)])
    assert sigmas[0].tolist() == pytest.approx([0.2] * gaussians)
    torch.testing.assert_close(weights, weights.flip(1))


def test_discrete_weights_start_as_the_mean():
    pooling = AdaptivePooling(6, generator="discrete")
    values = torch.randn(3, 10, 6)
    torch.testing.assert_close(pooling(values), math.sqrt(10) * values.mean(1))
    assert DiscreteWeights(4)(torch.arange(4.0).unsqueeze(0), 7)[0].tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3]


def test_moving_the_mean_moves_the_weights():
    times = torch.linspace(0, 1, 101)
    shares, sigmas = torch.ones(1, 1), torch.full((1, 1), 0.1)
    left, right = (mixture_density(times, shares, torch.full((1, 1), mean), sigmas)[0] for mean in (0.4, 0.5))
    assert left.argmax() == 40
    torch.testing.assert_close(right[10:], left[:-10], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("segments", [1, 2, 7, 25])
@pytest.mark.parametrize("generator", ["mixture", "discrete"])
def test_any_number_of_segments(segments, generator):
    pooling = AdaptivePooling(6, generator=generator, layers=3)
    values = torch.randn(2, segments, 6, requires_grad=True)
    pooled = pooling(values)
    assert pooled.shape == (2, 6)
    pooled.sum().backward()
    assert values.grad.isfinite().all()
    assert values.grad.abs().sum() > 0


def test_maps_of_another_grid_are_averaged_to_it():
    pooling = AdaptivePooling(6, source="maps", grid=4)
    maps = torch.randn(2, 10, 6, 4, 4)
    larger = maps.repeat_interleave(2, -1).repeat_interleave(2, -2)
    torch.testing.assert_close(pooling.weights(larger), pooling.weights(maps))


def test_architecture_of_table_2():
    scores, conv = AdaptivePooling(51), AdaptivePooling(512, source="maps")
    assert [tuple(p.shape) for p in scores.reader.parameters()] == [(32, 1, 3, 1), (32,), (32, 32, 3, 51), (32,)]
    assert [tuple(p.shape) for p in conv.reader.parameters() if p.dim() > 1] == [
        (64, 512, 7, 7), (32, 64, 3), (32, 32, 3),
    ]  # fmt: skip
    assert [tuple(p.shape) for p in conv.regress.parameters() if p.dim() > 1] == [(64, 320), (6, 64)]


def test_weights_learn_to_follow_the_event():
    generator = torch.Generator().manual_seed(3)

    def batch(videos):
        """Three neighbours of ten segments show the class and a sign that they do; the others show any class."""
        label = torch.randint(4, (videos,), generator=generator)
        first = torch.randint(8, (videos, 1), generator=generator)
        inside = (torch.arange(10) >= first) & (torch.arange(10) < first + 3)
        shown = torch.where(inside, label.unsqueeze(1), torch.randint(4, (videos, 10), generator=generator))
        scores = 4 * F.one_hot(shown, 4) + torch.randn(videos, 10, 4, generator=generator)
        sign = 2 * inside.unsqueeze(-1) + 0.5 * torch.randn(videos, 10, 1, generator=generator)
        return scores, torch.cat([scores, sign], dim=-1), label, first.squeeze(1) + 1

    torch.manual_seed(1)
    pooling = AdaptivePooling(5)
    optimizer = torch.optim.Adam(pooling.parameters(), 0.01)
    for _ in range(100):
        scores, features, label, _ = batch(64)
        optimizer.zero_grad()
        F.cross_entropy(pooling(scores, features), label).backward()
        optimizer.step()
    scores, features, label, event = batch(500)
    with torch.no_grad():
        weights = pooling.weights(features)
        centre = (weights * segment_times(10, weights)).sum(1) / weights.sum(1)
        assert torch.corrcoef(torch.stack([centre, event.float()]))[0, 1] > 0.9
        assert (pooling(scores, features).argmax(1) == label).float().mean() > 0.95
        assert (scores.mean(1).argmax(1) == label).float().mean() < 0.85


def test_segments_that_count_more_learn_more():
    values = torch.randn(1, 5, 3, requires_grad=True)
    weights = torch.tensor([[0.1, 0.2, 0.4, 0.8, 1.6]])
    F.cross_entropy(weighted_pool(values, weights), torch.tensor([1])).backward()
    lengths = values.grad[0].norm(dim=1)
    assert (lengths.diff() > 0).all()


def test_random_gaussians_repeat():
    first, second = (random_gaussians(3, 2, 10, torch.Generator().manual_seed(4)) for _ in range(2))
    assert torch.equal(first, second)
    assert first.shape == (3, 10)
    assert (first > 0).all()


def test_stretching_keeps_the_ends():
    sequence = torch.randn(2, 3, 10)
    stretched = stretch(sequence, 25)
    torch.testing.assert_close(stretched[..., [0, -1]], sequence[..., [0, -1]])


# The network.

TINY = "datp_tsm_resnet10_tiny"


def tiny(**settings):
    torch.manual_seed(2)
    model = create_model(TINY, 4, dropout=0.0, grid=2, **settings)
    torch.nn.init.normal_(model.network.backbone.classifier.weight, std=0.5)
    model.log = lambda *args, **kwargs: None
    return model


@pytest.mark.parametrize("settings", [
    {}, {"gaussians": 1}, {"generator": "discrete"}, {"read": "scores"}, {"read": "scores", "detach": True},
    {"pooled": "probabilities"}, {"layers": 3},
])  # fmt: skip
def test_one_step_reaches_backbone_and_weights(settings):
    model = tiny(**settings).train()
    clip = torch.randn(2, 10, 3, 32, 32)
    loss = model.training_step({"clip": clip, "label": torch.tensor([0, 1])}, 0)
    loss.backward()
    assert model.network.pooling.regress[-1].bias.grad.abs().sum() > 0
    assert model.network.backbone.classifier.weight.grad.abs().sum() > 0
    again = type(model)(**{name: value for name, value in model.hparams.items() if name != "optimization"})
    again.load_state_dict(model.state_dict())


def test_starts_as_the_weighted_sum_of_frame_scores():
    model = tiny(gaussians=1).eval()
    clip = torch.randn(2, 10, 3, 32, 32)
    with torch.no_grad():
        scores = model.network.backbone(clip)
        times = torch.linspace(0, 1, 10)
        weights = torch.exp(-((times - 0.5) ** 2) / (2 * 0.2**2))
        expected = (scores * weights.view(1, -1, 1)).sum(1) / weights.norm()
        torch.testing.assert_close(model(clip), expected, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(model.network.weights(clip)[0] / weights, model.network.weights(clip)[1] / weights)


def test_pooled_probabilities_are_probabilities():
    model = tiny(pooled="probabilities").eval()
    with torch.no_grad():
        scores = model(torch.randn(2, 10, 3, 32, 32))
    torch.testing.assert_close(scores.exp().sum(1), torch.ones(2))
    torch.testing.assert_close(scores.log_softmax(1), scores)


def test_schemes_of_table_4():
    model = tiny().eval()
    clip = torch.randn(2, 25, 3, 32, 32)
    with torch.no_grad():
        scores = model.network.backbone(clip)
        answers = {}
        for scheme in ("datp", "random", "mean25", "mean"):
            model.test_by(scheme)
            answers[scheme] = model(clip)
        torch.testing.assert_close(answers["mean25"], scores.softmax(-1).mean(1).log())
        torch.testing.assert_close(answers["mean"], scores.mean(1))
        expected = weighted_pool(scores, random_gaussians(2, 2, 25, torch.Generator().manual_seed(0)))
        torch.testing.assert_close(answers["random"], expected)
    model.test_by("mean25")
    assert (model.clip_spec.frames, model.clip_spec.views.frames, model.clip_spec.views.crops) == (10, 25, 10)
    model.train()
    torch.testing.assert_close(model(clip[:, :10]), tiny().train()(clip[:, :10]))
    with pytest.raises(SettingError, match="scheme 'best': must be one of datp, random"):
        model.test_by("best")


def test_flow_stream():
    model = tiny(flow_length=5).eval()
    assert (model.clip_spec.frames, model.clip_spec.segments, model.clip_spec.modality) == (50, 10, "flow")
    assert model(torch.randn(1, 50, 2, 32, 32)).shape == (1, 4)


def test_overhead_in_multiply_adds_and_parameters():
    with torch.device("meta"):
        plain = create_model("tsn_resnet34", 51)
        adaptive = create_model("datp_tsn_resnet34", 51)
    shape = (1, 10, 3, 224, 224)
    before, after = count_cost(plain.network, shape), count_cost(adaptive.network, shape)
    assert after.macs / before.macs < 1.001
    assert after.parameters - before.parameters == sum(p.numel() for p in adaptive.network.pooling.parameters())


def test_wrong_settings():
    for settings, message in (
        ({"read": "flow"}, "read 'flow': must be conv or scores"),
        ({"pooled": "features"}, "pooled 'features': must be scores or probabilities"),
        ({"generator": "beta"}, "generator 'beta': must be mixture or discrete"),
        ({"gaussians": 0}, "gaussians 0: must be at least 1"),
        ({"layers": 0}, "layers 0, segments 10: must be at least 1"),
        ({"hidden": 0}, "hidden 0, grid 2: must be at least 1"),
        ({"flow_length": 0}, "flow_length 0: must be at least 1"),
    ):
        with pytest.raises(SettingError, match=message):
            tiny(**settings)
    with pytest.raises(SettingError, match="datp takes the backbones"):
        create_model("datp_x3d_tiny", 4)
