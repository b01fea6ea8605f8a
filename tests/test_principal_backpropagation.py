"""PBNet: what its theorems promise, by brute force, and that a step learns from the chosen snippets alone."""

from itertools import combinations
from math import comb

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn import functional as F

from videozoo import create_model
from videozoo.errors import SettingError
from videozoo.temporal.snippet_pooling import SnippetPooling
from videozoo.training.principal_backpropagation import (
    PrincipalBackpropagation,
    candidate_subsets,
    cross_entropies,
    divergences,
    evaluating,
    subset_costs,
)

MEAN = SnippetPooling()


def draw(videos=200, snippets=6, classes=5, scale=3.0):
    scores = scale * torch.randn(videos, snippets, classes, dtype=torch.float64)
    return scores, torch.randint(classes, (videos,))


def groups_of(snippets, chosen, generator=None):
    strategy = PrincipalBackpropagation(chosen, candidates="partitions", number=snippets // chosen)
    return candidate_subsets(snippets, strategy, generator)


def losses(pooling, scores, label, subsets):
    whole = cross_entropies(pooling(scores).unsqueeze(1), label).squeeze(1)
    return whole, cross_entropies(pooling.pool_subsets(scores, subsets), label)


def test_loss_of_a_part_is_the_whole_ones_plus_divergence_plus_margin():  # theorem 2
    scores, label = draw()
    subsets = torch.tensor(list(combinations(range(6), 3)))
    z = MEAN(scores).unsqueeze(1)
    parts = MEAN.pool_subsets(scores, subsets)
    p = z.softmax(-1)
    margins = [v - v.gather(-1, label.view(-1, 1, 1).expand(-1, v.shape[1], 1)) for v in (parts, z)]
    rest = divergences(z, parts) + (p * (margins[0] - margins[1])).sum(-1)
    whole, part = losses(MEAN, scores, label, subsets)
    assert (whole.unsqueeze(1) - (part - rest)).abs().max() < 1e-12


@pytest.mark.parametrize("pooling", [MEAN, SnippetPooling("weighted", (0.1, 2.0, -0.4, 0.3, 0.5, 0.7))])
@pytest.mark.parametrize("chosen", [1, 2, 3, 6])
def test_loss_is_below_the_mean_and_the_largest_of_equal_groups(pooling, chosen):  # theorem 1, corollary 1
    scores, label = draw()
    whole, part = losses(pooling, scores, label, groups_of(6, chosen))
    assert (whole <= part.mean(1) + 1e-12).all()
    assert (part.mean(1) <= part.amax(1) + 1e-12).all()


def test_bound_of_max_pooling():  # corollary 2
    pooling = SnippetPooling("max")
    scores, label = draw()
    subsets = groups_of(6, 2)
    whole, part = losses(pooling, scores, label, subsets)
    z = pooling(scores).unsqueeze(1)
    gap = (z.softmax(-1) * (z - pooling.pool_subsets(scores, subsets))).sum(-1)
    assert (whole <= part.amax(1) + gap.amin(1) + 1e-12).all()


def test_theorems_on_a_trained_network():
    from torch.optim import Adam

    snippets, label = torch.randn(64, 6, 8, dtype=torch.float64), torch.arange(64) % 4
    snippets[torch.arange(64), torch.arange(64) % 6, :4] += 3 * F.one_hot(label, 4)  # one snippet tells the class
    network = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)).double()
    optimizer = Adam(network.parameters(), 0.01)
    for _ in range(60):
        optimizer.zero_grad()
        F.cross_entropy(MEAN(network(snippets)), label).backward()
        optimizer.step()
    scores = network(snippets).detach()
    assert (MEAN(scores).argmax(1) == label).double().mean() > 0.8
    whole, part = losses(MEAN, scores, label, groups_of(6, 3))
    assert (whole <= part.mean(1) + 1e-12).all()
    every = torch.tensor(list(combinations(range(6), 3)))
    assert (whole <= losses(MEAN, scores, label, every)[1].amax(1) + 1e-12).all()


@pytest.mark.parametrize("pooling", ["mean", "max"])
@pytest.mark.parametrize("rule", ["max", "kl", "loss_difference"])
def test_choice_is_the_best_subset_by_brute_force(rule, pooling):
    scores, label = draw(videos=20)
    strategy = PrincipalBackpropagation(3, rule)
    chosen = strategy.choose(scores, label, SnippetPooling(pooling))
    pool = {"mean": lambda v: v.mean(0), "max": lambda v: v.amax(0)}[pooling]
    for video, answer, y in zip(scores, chosen.tolist(), label, strict=True):
        whole = pool(video)

        def cost(places, video=video, whole=whole, y=y):
            part = pool(video[list(places)])
            loss, full = F.cross_entropy(part, y), F.cross_entropy(whole, y)
            if rule == "max":
                return -loss
            if rule == "kl":
                return F.kl_div(part.log_softmax(0), whole.softmax(0), reduction="sum")
            return (loss - full).abs()

        best = min(combinations(range(6), 3), key=lambda places: cost(places).item())
        assert tuple(answer) == best


def test_highest_loss_of_all_subsets_bounds_the_whole_loss_but_not_that_of_a_sample():
    scores, label = draw(videos=400, snippets=8)
    whole = cross_entropies(MEAN(scores).unsqueeze(1), label).squeeze(1)

    def worst(**settings):
        subsets = candidate_subsets(8, PrincipalBackpropagation(4, "max", **settings))
        return losses(MEAN, scores, label, subsets)[1].amax(1)

    assert (worst() >= whole - 1e-12).all()
    assert (worst(candidates="partitions", number=4) >= whole - 1e-12).all()
    assert (worst(candidates="sampled", number=3) < whole - 1e-12).any()


def test_candidates():
    everything = candidate_subsets(6, PrincipalBackpropagation(3))
    assert everything.tolist() == [list(c) for c in combinations(range(6), 3)]
    sampled = candidate_subsets(12, PrincipalBackpropagation(5))
    assert sampled.shape == (100, 5)
    assert len({tuple(row) for row in sampled.tolist()}) == 100
    assert all(len(set(row)) == 5 and row == sorted(row) for row in sampled.tolist())
    nearly_all = candidate_subsets(9, PrincipalBackpropagation(4, number=comb(9, 4) - 1))
    assert len({tuple(row) for row in nearly_all.tolist()}) == comb(9, 4) - 1
    cut = candidate_subsets(8, PrincipalBackpropagation(4, candidates="partitions"))
    assert cut.shape == (100, 4)
    assert torch.equal(cut.view(50, 8).sort(1).values, torch.arange(8).expand(50, 8))


def test_kl_rule_sees_no_labels_and_max_rule_does():
    scores, label = draw()
    for rule, same in (("kl", True), ("max", False)):
        strategy = PrincipalBackpropagation(3, rule)
        first, second = (strategy.choose(scores, y, MEAN) for y in (label, (label + 1) % 5))
        assert torch.equal(first, second) == same


def test_kl_rule_leaves_an_outlier_out_up_to_half_of_the_snippets():
    scores = torch.zeros(100, 6, 5, dtype=torch.float64)
    scores += 0.1 * torch.randn_like(scores)
    scores[:, :, 0] += 4
    scores[:, 2] = scores[:, 2].flip(-1)  # sure of another class
    label = torch.zeros(100, dtype=torch.int64)
    taken = {}
    for chosen in (2, 3):
        taken[chosen] = (PrincipalBackpropagation(chosen).choose(scores, label, MEAN) == 2).any(1).double().mean()
    with pytest.warns(UserWarning, match="outliers are chosen"):
        PrincipalBackpropagation(4).check(6)
    taken[4] = (PrincipalBackpropagation(4).choose(scores, label, MEAN) == 2).any(1).double().mean()
    assert taken[2] == taken[3] == 0
    assert taken[4] == 1


def test_equal_snippets_give_every_rule_the_same_loss():
    scores = draw()[0][:, :1].expand(-1, 6, -1)
    label = torch.zeros(200, dtype=torch.int64)
    whole = cross_entropies(MEAN(scores).unsqueeze(1), label).squeeze(1)
    subsets = candidate_subsets(6, PrincipalBackpropagation(3))
    for rule in ("max", "kl", "loss_difference"):
        costs = subset_costs(scores, label, subsets, MEAN, rule)
        expected = {"max": -whole}.get(rule, torch.zeros_like(whole))
        assert torch.allclose(costs, expected.unsqueeze(1).expand_as(costs), atol=1e-12)


def test_several_labels_count_as_the_video_entered_once_for_each():
    scores, label = draw(videos=10)
    other = (label + 1) % 5
    both = F.one_hot(label, 5) + F.one_hot(other, 5)
    z = MEAN(scores).unsqueeze(1)
    expected = (cross_entropies(z, label) + cross_entropies(z, other)) / 2
    assert torch.allclose(cross_entropies(z, both), expected)


def test_weights_follow_the_number_of_snippets():
    pooling = SnippetPooling("weighted", (1.0, 2.0, 3.0))
    assert pooling.weights_of(5).tolist() == pytest.approx([0.6, 0.9, 1.2, 1.5, 1.8])
    scores, _ = draw(videos=2, snippets=3)
    chosen = torch.tensor([[0, 2], [1, 2]])
    expected = pooling.pool_subsets(scores, chosen)[[0, 1], [0, 1]]
    taken = scores[torch.arange(2).unsqueeze(1), chosen]
    assert torch.allclose(pooling(taken, chosen, 3), expected)


# The training step.


def small(**settings):
    torch.manual_seed(5)
    # A wide classifier, so that the snippets of an untrained network differ.
    model = create_model("pbnet_tsm_resnet10_tiny", 4, dropout=0.0, **settings)
    nn.init.normal_(model.network.backbone.classifier.weight, std=0.5)
    model.log = lambda *args, **kwargs: None
    return model


def batch_of(videos=4, frames=6, size=32):
    torch.manual_seed(7)
    return {"clip": torch.randn(videos, frames, 3, size, size), "label": torch.arange(videos) % 4}


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("rule", ["max", "kl", "random", "loss_difference"])
def test_gradients_are_those_of_training_on_the_chosen_snippets_alone(rule):
    model, batch = small(rule=rule), batch_of()
    snippets = model.network.split(batch["clip"])
    watched = model.strategy.watch(model.network, model.network.score, snippets, torch.zeros(4))
    chosen = model.strategy.choose(watched, batch["label"], model.network.consensus, model._generator(0))
    model.train()
    found = gradients(model, model.training_step(batch, 0))
    alone = small()
    alone.train()
    clip = torch.stack([video[places] for video, places in zip(batch["clip"], chosen, strict=True)])
    expected = gradients(alone, F.cross_entropy(alone(clip), batch["label"]))
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-4, atol=1e-6)


def test_full_rule_and_choosing_all_equal_plain_training():
    batch = batch_of()
    plain = small()
    expected = gradients(plain, F.cross_entropy(plain(batch["clip"]), batch["label"]))
    for settings in ({"rule": "full"}, {"chosen": 6}):
        model = small(**settings)
        found = gradients(model, model.training_step(batch, 0))
        assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_snippets_that_were_not_chosen_get_no_gradient():
    model, batch = small(rule="max"), batch_of()
    batch["clip"].requires_grad_()
    model.training_step(batch, 0).backward()
    touched = batch["clip"].grad.flatten(2).abs().amax(2) > 0
    assert touched.sum(1).tolist() == [3, 3, 3, 3]


def test_watching_changes_neither_statistics_nor_modes():
    model, batch = small(), batch_of()
    model.train()
    frozen = next(module for module in model.network.modules() if isinstance(module, nn.BatchNorm2d))
    frozen.eval()
    before = {name: module.training for name, module in model.network.named_modules()}
    state = {key: value.clone() for key, value in model.state_dict().items()}
    snippets = model.network.split(batch["clip"])
    scores = model.strategy.watch(model.network, model.network.score, snippets, torch.zeros(4))
    assert before == {name: module.training for name, module in model.network.named_modules()}
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())
    assert not scores.requires_grad
    with evaluating(model.network), torch.no_grad():
        torch.testing.assert_close(scores, model.network.score(snippets, torch.zeros(4)), rtol=1e-4, atol=1e-5)
    with pytest.raises(ZeroDivisionError), evaluating(model.network):
        1 / 0  # noqa: B018
    assert before == {name: module.training for name, module in model.network.named_modules()}


def test_watching_takes_no_more_snippets_at_once_than_are_learned_from():
    model, batch = small(snippets=6, chosen=3), batch_of(videos=8)
    seen = []
    model.network.backbone.stem.register_forward_hook(lambda module, inputs, output: seen.append(len(inputs[0])))
    model.training_step(batch, 0)
    assert seen == [24, 24, 24]  # 8 videos x 3 snippets


@pytest.mark.parametrize("snippets", [1, 4, 8])
def test_kept_activations_do_not_grow_with_the_snippets_watched(snippets):
    from videozoo.evaluation.benchmark import saved_tensor_memory

    def kept(count):
        model = small(snippets=count, chosen=1, rule="max")
        return saved_tensor_memory(lambda: model.training_step(batch_of(videos=2, frames=count), 0))

    assert kept(snippets) == pytest.approx(kept(1), rel=0.1)


def test_lower_precision_of_watching_and_mixed_precision_of_the_step_train_all_weights():
    batch = batch_of()
    for settings, autocast in (({"watch_precision": "bf16"}, False), ({}, True)):
        model = small(rule="max", **settings)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            loss = model.training_step(batch, 0)
        found = gradients(model, loss)
        assert found.keys() == dict(model.named_parameters()).keys()
        assert all(gradient.abs().sum() > 0 for name, gradient in found.items() if "classifier.weight" in name)
        assert next(model.parameters()).dtype == torch.float32


# Flow of several lengths.


def test_both_lengths_train_one_trunk():
    model = small(flow_lengths=(5, 10), snippets=4, chosen=2)
    assert model.clip_spec.frames_per_segment == 10
    assert model.strategy.rule == "max"
    batch = {"clip": torch.randn(4, 40, 2, 32, 32), "label": torch.arange(4)}
    model.train()
    found = gradients(model, model.training_step(batch, 0))
    first = [name for name in found if "first.convolutions" in name]
    assert [model.get_parameter(name).shape[1] for name in first] == [10, 20]
    assert all(gradient.abs().sum() > 0 for gradient in found.values())
    # One video: only one length is used, but the other convolution still takes part (in distributed training).
    one = {"clip": batch["clip"][:1], "label": batch["label"][:1]}
    assert gradients(model, model.training_step(one, 0)).keys() == found.keys()


def test_lengths_share_a_batch_and_take_turns_where_it_cannot_be_halved():
    network = small(flow_lengths=(5, 10), snippets=4, chosen=2).network
    for videos, expected in ((4, [[0, 0, 1, 1], [1, 1, 0, 0]]), (3, [[0, 0, 1], [1, 1, 0]]), (1, [[0], [1]])):
        clip = torch.empty(videos, 40, 2, 8, 8)
        assert [network.training_kinds(clip, step).tolist() for step in (0, 1)] == expected
    assert small().network.training_kinds(torch.empty(3, 6, 3, 8, 8), 1).tolist() == [0, 0, 0]


def test_a_short_snippet_is_the_middle_of_a_long_one_and_a_video_is_judged_by_both():
    model = small(flow_lengths=(5, 10), snippets=4, chosen=2).eval()
    clip = torch.randn(2, 40, 2, 32, 32)
    network = model.network
    snippets = network.split(clip)
    with torch.no_grad():
        short, long = (network.score(snippets, torch.full((2,), kind)) for kind in (0, 1))
        torch.testing.assert_close(model(clip), (short.mean(1) + long.mean(1)) / 2)
        outer = snippets.clone()
        outer[:, :, :2], outer[:, :, 7:] = 9, 9
        torch.testing.assert_close(network.score(outer, torch.zeros(2)), short)
        mixed = network.score(snippets, torch.tensor([1, 0]))
        torch.testing.assert_close(mixed, torch.stack([long[0], short[1]]), rtol=1e-4, atol=1e-5)


def test_first_convolutions_start_from_the_mean_over_colours():
    plain, flow = create_model("tsn_resnet18", 3), create_model("pbnet_tsn_resnet18", 3, flow_lengths=(5, 10))
    assert flow.network.backbone.stem.module.conv1.__class__ is nn.Identity
    for convolution, length in zip(flow.network.first.convolutions, (5, 10), strict=True):
        assert convolution.weight.shape == (64, 2 * length, 7, 7)
        assert torch.equal(convolution.weight[:, 0], convolution.weight[:, -1])
    assert plain.network.backbone.stem.module.conv1.weight.shape == convolution.weight[:, :3].shape


def test_the_papers_settings():
    rgb = create_model("pbnet_bn_inception", 101)
    flow = create_model("pbnet_bn_inception", 101, flow_lengths=(5, 10))
    assert (rgb.strategy.rule, flow.strategy.rule) == ("kl", "max")
    assert (rgb.clip_spec.frames, rgb.clip_spec.views.frames, rgb.clip_spec.views.crops) == (6, 25, 10)
    assert (flow.clip_spec.segments, flow.clip_spec.views.frames) == (6, 250)
    assert (flow.clip_spec.modality, flow.clip_spec.mean, flow.clip_spec.std) == ("flow", (128.0, 128.0), (1.0, 1.0))
    again = type(flow)(**{name: value for name, value in flow.hparams.items() if name != "optimization"})
    again.load_state_dict(flow.state_dict())


def test_protocol_averages_over_snippets_and_crops():
    model = small(snippets=3, chosen=1).eval()
    views = torch.randn(2, 10, 25, 3, 32, 32)[:, :4]
    with torch.no_grad():
        scores = model.network.score(model.network.split(views.flatten(0, 1)), torch.zeros(8))
        torch.testing.assert_close(model.forward_views(views), scores.unflatten(0, (2, 4)).mean((1, 2)))


def test_trainer_runs_it_with_accumulation_and_mixed_precision():
    torch.manual_seed(1)
    batches = [{**batch_of(videos=2, frames=4), "index": torch.arange(2)} for _ in range(4)]
    for precision in ("32-true", "bf16-mixed"):
        model = create_model("pbnet_tsm_resnet10_tiny", 4, snippets=4, chosen=2, dropout=0.0)
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        trainer = pl.Trainer(
            accelerator="cpu", max_epochs=1, accumulate_grad_batches=2, precision=precision, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(model, torch.utils.data.DataLoader(batches, batch_size=None))
        assert trainer.global_step == 2
        assert np.isfinite(float(trainer.callback_metrics["train/loss"]))
        assert float(trainer.callback_metrics["train/full_loss"]) > 0
        # The classifier starts near zero, so that deeper weights hardly move in two steps.
        name = "network.backbone.head.classifier.weight"
        assert not torch.equal(before[name], model.get_parameter(name))


def test_untrimmed_videos_with_several_labels_are_scored_by_map():
    model = create_model("pbnet_tsm_resnet10_tiny", 4, snippets=4, chosen=2, multilabel=True)
    batch = {**batch_of(videos=3, frames=4), "index": torch.arange(3)}
    batch["label"] = torch.tensor([[1, 1, 0, 0], [0, 1, 0, 0], [1, 0, 0, 0]])
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip
    loader = torch.utils.data.DataLoader([batch], batch_size=None)
    trainer.fit(model, loader, loader)
    assert 0 < float(trainer.callback_metrics["val/mean_average_precision"]) <= 1


def test_wrong_settings():
    for settings, message in (
        ({"chosen": 7}, "chosen 7: must be at most the 6 snippets"),
        ({"chosen": 4, "candidates": "partitions", "rule": "max"}, "groups of 4: they must be equal"),
        ({"rule": "best"}, "rule 'best': must be one of max, kl"),
        ({"pooling": "median"}, "pooling 'median': must be one of"),
        ({"pooling": "weighted", "weights": ()}, "weights go with 'weighted'"),
        ({"weights": (1, 2)}, "weights go with 'weighted'"),
        ({"flow_lengths": (5,), "snippet_frames": 3}, "snippet_frames 3"),
        ({"snippets": 40, "chosen": 20, "candidates": "all"}, "more than 100000 are to be sampled"),
        ({"watch_precision": "int8"}, "watch_precision 'int8': must be same or bf16"),
    ):
        with pytest.raises(SettingError, match=message):
            create_model("pbnet_tsm_resnet10_tiny", 4, **settings)
    with pytest.raises(SettingError, match="first convolution is 2D"):
        create_model("pbnet_x3d_tiny", 4, flow_lengths=(5,))


def test_subset_of_best_snippets_is_not_the_best_subset():
    scores, label = draw(videos=300, snippets=6)
    single = cross_entropies(scores, label).topk(3, dim=1).indices.sort(1).values
    best = PrincipalBackpropagation(3, "max").choose(scores, label, MEAN)
    share = (single != best).any(1).double().mean()
    assert 0.1 < share < 0.7
