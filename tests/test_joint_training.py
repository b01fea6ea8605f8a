"""Joint training of a projection and the network behind it: the scale's closed form, its schedule, and real steps."""

import math
from itertools import pairwise

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision
from torch.utils.data import DataLoader

from videozoo import create_model
from videozoo.errors import SettingError
from videozoo.training.multiple_gradient_descent import MultipleGradientDescent, shortest_mixture
from videozoo.training.optimization import Optimization
from videozoo.training.scale_scheduler import scheduled_scale

PLAIN = Optimization(learning_rate=0.1, momentum=0.0, weight_decay=0.0, schedule="constant")


def test_the_scale_is_that_of_the_shortest_mixture():
    grid = torch.linspace(0, 1, 10001, dtype=torch.float64)
    for _ in range(30):
        first, second = torch.randn(2, 7, dtype=torch.float64) * torch.tensor([[1.0], [3.0]])
        alpha = shortest_mixture(first, second)
        lengths = (grid[:, None] * first + (1 - grid[:, None]) * second).norm(dim=1)
        step = alpha * first + (1 - alpha) * second
        assert step.norm() <= lengths.min() + 1e-12
        assert abs(alpha - grid[lengths.argmin()]) < 2e-4
        for gradient in (first, second):  # a descent direction of both
            assert gradient @ step >= step @ step - 1e-12


def test_the_scale_at_its_ends():
    gradient = torch.tensor([1.0, -2.0, 0.5])
    for first, second, alpha in (
        (2 * gradient, gradient, 0.0),
        (gradient / 2, gradient, 1.0),
        (-gradient, gradient, 0.5),
        (gradient, gradient, 0.5),
        (torch.zeros(3), torch.zeros(3), 0.5),
        (torch.zeros(3), gradient, 1.0),
    ):
        assert shortest_mixture(first, second) == pytest.approx(alpha)


@pytest.mark.parametrize(("gamma", "knee"), [(0.1, 0.1), (0.2, 0.3), (0.5, 0.3)])
def test_the_schedule_falls_from_1_through_its_knee_to_0(gamma, knee):
    total = 1000
    scales = [scheduled_scale(step, total, gamma=gamma, knee=knee) for step in range(1, total + 1)]
    assert scales[0] == 1
    assert scales[int(gamma * total) - 1] == pytest.approx(knee, abs=1e-9)
    assert scales[-1] == pytest.approx(0, abs=1e-9)
    assert all(later <= earlier for earlier, later in pairwise(scales))
    turn = gamma * total
    before, after = (scheduled_scale(turn + shift, total, gamma=gamma, knee=knee) for shift in (-1e-6, 1e-6))
    assert before == pytest.approx(after, abs=1e-5)


def test_the_schedule_survives_short_trainings():
    for total in (1, 2, 3, 5):
        for step in range(1, total + 1):
            assert 0 <= scheduled_scale(step, total, gamma=0.1, knee=0.1) <= 1


def new_model(joint, **options):
    torch.manual_seed(1)
    # Configuration 6 has no batch norm, and the others are frozen: the halves of a batch add up to the whole.
    return create_model(
        "dan_tsm_resnet10_tiny", 3, segments=2, frames=4, perceptron=6, dropout=0.0, joint=joint,
        joint_options=options, optimization=PLAIN,
    )  # fmt: skip


def videos(count=4):
    generator = torch.Generator().manual_seed(5)
    clips = 0.25 * torch.randn(count, 8, 3, 24, 24, generator=generator)  # so that the gradients are of like size
    return [{"clip": clip, "label": torch.tensor(i % 3), "index": torch.tensor(i)} for i, clip in enumerate(clips)]


class FrozenNorms(pl.Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        for module in pl_module.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()


class Gradients(pl.Callback):
    """What the optimiser saw in the last step."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen = {name: p.grad.clone() for name, p in pl_module.named_parameters() if p.grad is not None}


def train(model, batch_size=4, steps=1, **options):
    gradients = Gradients()
    trainer = pl.Trainer(
        accelerator="cpu", max_steps=steps, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[FrozenNorms(), gradients], **options,
    )  # fmt: skip
    trainer.fit(model, DataLoader(videos(), batch_size=batch_size))
    return gradients.seen


def by_hand(model):
    """Both gradients of the whole batch, without a trainer."""
    batch = torch.utils.data.default_collate(videos())
    FrozenNorms().on_train_batch_start(None, model, batch, 0)
    appearance, projection_loss = model.network.representation.forward_with_loss(batch["clip"])
    recognition_loss = model.loss(model.network[1:](appearance), batch["label"])
    projection = dict(model.network.representation.named_parameters(prefix="network.representation"))
    first = torch.autograd.grad(projection_loss, list(projection.values()), retain_graph=True)
    everything = dict(model.named_parameters())
    second = torch.autograd.grad(recognition_loss, list(everything.values()))
    return dict(zip(projection, first, strict=True)), dict(zip(everything, second, strict=True))


@pytest.mark.parametrize("batch_size", [4, 2])
def test_multiple_gradient_descent_steps_along_the_mixture(batch_size):
    """Whole batches, and the same batch accumulated from two halves."""
    first, second = by_hand(new_model("mgda"))
    model = new_model("mgda")
    seen = train(model, batch_size, accumulate_grad_batches=4 // batch_size)
    flat = [torch.cat([gradients[name].flatten() for name in first]) for gradients in (first, second)]
    alpha = shortest_mixture(*flat).item()
    assert 0.05 < alpha < 0.95
    assert model.joint.alpha == pytest.approx(alpha, rel=1e-3, abs=1e-6)
    for name, gradient in second.items():
        expected = alpha * first[name] + (1 - alpha) * gradient if name in first else gradient
        torch.testing.assert_close(seen[name], expected, rtol=1e-3, atol=1e-6)


def test_multiple_gradient_descent_in_mixed_precision():
    """The recognition gradients arrive scaled by 1024, the projection's own do not."""
    plain, model = new_model("mgda"), new_model("mgda")
    expected = train(plain)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    seen = train(model, plugins=[MixedPrecision("16-mixed", "cpu", scaler=scaler)])
    assert model.joint.alpha == pytest.approx(plain.joint.alpha, rel=0.1)
    for name, gradient in expected.items():
        assert (seen[name] - gradient).norm() < 0.1 * gradient.norm() + 1e-5, name


def test_multiple_gradient_descent_averages_over_processes():
    """The projection's own gradient passes the strategy's mean, once a step."""
    reduced = []

    class Strategy:
        def reduce(self, tensor, reduce_op):
            reduced.append(reduce_op)
            return tensor / 2

    class Trainer:
        strategy = Strategy()
        accumulate_grad_batches = 1

    class Module:
        def log(self, name, value):
            pass

    parameter = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
    joint = MultipleGradientDescent()
    joint.on_train_batch_start(Trainer(), Module(), None, 0)
    joint.combine((4 * parameter).sum(), (parameter * torch.tensor([-1.0, 0.0])).sum(), [parameter]).backward()
    joint.on_before_optimizer_step(Trainer(), Module(), None)
    assert reduced == ["mean"]
    first, second = torch.tensor([2.0, 2.0]), torch.tensor([-1.0, 0.0])
    alpha = shortest_mixture(first, second)
    torch.testing.assert_close(parameter.grad, alpha * first + (1 - alpha) * second)
    joint.on_before_optimizer_step(Trainer(), Module(), None)
    assert reduced == ["mean"]  # nothing is left of the step before


@pytest.mark.parametrize("alpha", [0.0, 0.9])
def test_constant_scale(alpha):
    first, second = by_hand(new_model("constant", alpha=alpha))
    seen = train(new_model("constant", alpha=alpha))
    for name, gradient in second.items():
        expected = (1 - alpha) * gradient + (alpha * first[name] if name in first else 0)
        torch.testing.assert_close(seen[name], expected, rtol=1e-3, atol=1e-6)


def test_scale_scheduler_follows_the_steps():
    model = new_model("scheduler", gamma=0.5, knee=0.3)
    train(model, batch_size=1, steps=4)
    assert model.joint.alpha == pytest.approx(scheduled_scale(4, 4, gamma=0.5, knee=0.3))


def test_separate_training_freezes_the_projection_after_its_epochs():
    model = new_model("separate", epochs=1)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    train(model, batch_size=2, steps=2)  # one epoch
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, start[name])}
    assert moved
    assert all(name.startswith("network.representation") for name in moved)

    model = new_model("separate", epochs=1)
    seen = train(model, batch_size=2, steps=4, max_epochs=2)
    assert not any(name.startswith("network.representation") for name in seen)
    assert any(name.startswith("network.backbone") for name in seen)
    assert not model.network.representation.training


def test_wrong_settings_are_named():
    for joint, options, text in (
        ("pareto", {}, "mgda, scheduler, constant, separate"),
        ("constant", {"beta": 1}, "beta"),
        ("constant", {"alpha": 2}, "alpha 2"),
        ("scheduler", {"gamma": 1.0}, "gamma 1.0"),
        ("separate", {"epochs": 0}, "epochs 0"),
    ):
        with pytest.raises(SettingError, match=text):
            new_model(joint, **options)
    assert math.isnan(new_model("mgda").joint.alpha)
