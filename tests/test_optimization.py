"""How networks are optimised: parameter groups as the authors' code makes them, schedules, frozen norms, switches."""

import json
from collections import Counter
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader

from videozoo import create_model
from videozoo.errors import SettingError, UnknownNameError
from videozoo.temporal.shift import temporal_shift
from videozoo.training.frozen_norms import frozen_norms
from videozoo.training.optimization import Optimization
from videozoo.training.parameter_groups import parameter_groups
from videozoo.training.preparation import prepare_network

RECORDED = json.loads((Path(__file__).parent / "data" / "parameter_policies.json").read_text())
# A mask stored with every region's kernel, and the kernel's 31 of 32 channels that it covers: ours has neither.
MASKS = 2 * 256 * 32 * 3 * 7 * 7 + 3 * 512 * 32 * 3 * 3 * 3
KERNELS = 2 * 256 * 3 * 7 * 7 + 3 * 512 * 3 * 3 * 3

# Recorded network -> architecture, policy, batch norm, classes, hyperparameters.
NETWORKS = {
    "tsm_resnet50_fc_lr5": ("tsm_resnet50", "tsn", "train", 174, {}),
    "tsm_resnet50_no_fc_lr5": ("tsm_resnet50", "tsn_plain_head", "train", 174, {}),
    "tsm_resnet50_mmaction2": ("tsm_resnet50", "tsn", "train", 400, {}),
    "tsn_resnet50_partial_bn": ("tsn_resnet50", "tsn", "partial", 174, {}),
    "tsn_resnet50_flow_partial_bn": ("tsn_resnet50", "tsn_flow", "partial", 174, {}),
    "tsn_bn_inception_partial_bn": ("bn_inception", "tsn", "partial", 174, {}),
    "rnl_tsm_resnet50": ("rnl_tsm_resnet50", "rnl", "train", 400, {"chain": "authors"}),
    "bqn_tsm_resnet50": ("bqn_tsm_resnet50", "bqn", "train", 174, {}),
    "bqn_x3d_m": ("bqn_x3d_m", "bqn_x3d", "train", 174, {}),
}


def counted(groups):
    """(rate, decay) -> tensors and numbers."""
    tensors, numbers = Counter(), Counter()
    for group in groups:
        key = (group["lr"], group["weight_decay"])
        tensors[key] += len(group["params"])
        numbers[key] += sum(parameter.numel() for parameter in group["params"])
    return sorted([*key, tensors[key], numbers[key]] for key in tensors)


@pytest.mark.parametrize("name", NETWORKS)
def test_groups_are_those_of_the_authors(name):
    arch, policy, batch_norm, classes, hyperparameters = NETWORKS[name]
    network = create_model(arch, classes, **hyperparameters).network
    prepare_network(network, Optimization(batch_norm=batch_norm))
    recorded = [tuple(group) for group in RECORDED[name]["groups"]]
    if name == "rnl_tsm_resnet50":
        recorded[1] = (1.0, 1.0, recorded[1][2] - 5, recorded[1][3] - MASKS)
        recorded[2] = (2.0, 0.0, recorded[2][2], recorded[2][3] - MASKS + KERNELS)
    ours = counted(parameter_groups(network, policy, learning_rate=1.0, weight_decay=1.0))
    assert [tuple(group) for group in ours] == recorded
    assert sum(not parameter.requires_grad for parameter in network.parameters()) == RECORDED[name]["in_no_group"]
    if "norms_in_training" in RECORDED[name]:
        norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
        assert sum(norm.training for norm in norms) == RECORDED[name]["norms_in_training"]


def test_recorded_groups_are_those_beside_the_checkout(reference):
    for name, recorded in reference("optimizer_policies.json").items():
        tensors, numbers = Counter(), Counter()
        for group in recorded["groups"]:
            tensors[group["lr_mult"], group["decay_mult"]] += group["tensors"]
            numbers[group["lr_mult"], group["decay_mult"]] += group["numbers"]
        assert RECORDED[name]["groups"] == sorted([*key, tensors[key], numbers[key]] for key in tensors if tensors[key])


@pytest.mark.parametrize(
    ("arch", "policy", "kinds"),
    [
        ("tvnet_tsm_resnet10_tiny", "uniform", {"flow": 1 / 255, "rest": 1}),
        ("tvnet_bn_inception", "tsn_flow", {"flow": 1 / 255, "first.weight": 5, "head.weight": 5, "head.bias": 10}),
        ("mbpm_x3d_tiny", "thesis", {"band_pass": 5, "head.weight": 5, "head.bias": 5, "norm": 1}),
        ("bqn_x3d_tiny", "bqn_x3d", {"band_pass": 5, "first.weight": 5, "head.weight": 5}),
        ("dan_x3d_tiny", "thesis", {"rest": 1, "head.weight": 5}),
        ("x3d_tiny", "x3d", {"norm": 1, "rest": 1}),
    ],
)
def test_every_parameter_is_in_one_group(arch, policy, kinds):
    network = create_model(arch, 3).network
    groups = parameter_groups(network, policy, learning_rate=1.0, weight_decay=1.0)
    grouped = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(grouped) == sorted(id(parameter) for parameter in network.parameters())
    rates = {group["name"]: group["lr"] for group in groups}
    assert kinds.items() <= rates.items()


def test_both_lengths_of_flow_have_a_first_convolution():
    network = create_model("pbnet_tsm_resnet10_tiny", 3, flow_lengths=(5, 10)).network
    groups = {group["name"]: group for group in parameter_groups(network, "tsn_flow", learning_rate=1, weight_decay=1)}
    first = [parameter.shape[1] for parameter in groups["first.weight"]["params"]]
    assert (first, groups["first.weight"]["lr"]) == ([10, 20], 5)


class Clips(torch.utils.data.Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        return {
            "clip": torch.randn(4, 3, 32, 32, generator=generator),
            "label": torch.tensor(index % 2),
            "index": torch.tensor(index),
        }


class Data(pl.LightningDataModule):
    batch_size = 2

    def train_dataloader(self):
        return DataLoader(Clips(), batch_size=self.batch_size)

    def val_dataloader(self):
        return DataLoader(Clips(), batch_size=4)


def fitted(optimization, arch="tsm_resnet10_tiny", data=None, callbacks=(), hyperparameters=None, **options):
    model = create_model(arch, 2, optimization=optimization, **hyperparameters or {})
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    run = pl.Trainer(**quiet, enable_model_summary=False, callbacks=list(callbacks), **{"max_epochs": 2} | options)
    run.fit(model, data or Data())
    return model, run


@pytest.mark.parametrize("mode", ["partial", "frozen"])
def test_frozen_norms_stay_as_they_were(mode):
    fresh = create_model("se_tsm_resnet10_tiny", 2, optimization=Optimization(batch_norm=mode))
    frozen = {id(norm) for norm in frozen_norms(fresh.network, mode)}
    names = {name for name, module in fresh.network.named_modules() if id(module) in frozen}
    model, _ = fitted(Optimization(learning_rate=0.1, batch_norm=mode), "se_tsm_resnet10_tiny")
    learned = {
        name
        for name, module in model.network.named_modules()
        if isinstance(module, _BatchNorm) and module.running_mean.any()
    }
    norms = [name for name, module in fresh.network.named_modules() if isinstance(module, nn.BatchNorm2d)]
    first = norms[0]
    assert learned.isdisjoint(names)
    assert (first in learned) == (mode == "partial")
    assert model.train().network.get_submodule(first).training == (mode == "partial")
    assert not any(model.network.get_submodule(name).training for name in names)


def test_norms_of_attention_learn_in_frozen_backbones():
    network = create_model("rnl_tsm_resnet10_tiny", 2).network
    frozen = {id(norm) for norm in frozen_norms(network, "frozen")}
    added = [module.norm for module in network.modules() if type(module).__name__ == "RegionNonLocal"]
    assert added
    assert frozen.isdisjoint(map(id, added))


def test_schedules():
    cosine = Optimization(warmup_epochs=2)
    assert 0 < cosine.factor(0, 10) < 1e-3
    assert cosine.factor(1, 10) == pytest.approx(0.5)
    assert cosine.factor(2, 10) == pytest.approx(1)
    assert cosine.factor(6, 10) == pytest.approx(0.5)
    assert cosine.factor(10, 10) == pytest.approx(0)
    assert Optimization(warmup_epochs=2, warmup_start=0.1).factor(1, 10) == pytest.approx(0.55)
    step = Optimization(schedule="step", milestones=(3, 6))
    assert [step.factor(epoch, 9) for epoch in (0, 2.9, 3, 6)] == pytest.approx([1, 1, 0.1, 0.01])
    every = Optimization(schedule="step", every=1500, unit="steps")
    assert [every.factor(0, 9, step) for step in (1499, 1500, 4500)] == pytest.approx([1, 0.1, 0.001])


class Rates(pl.Callback):
    def __init__(self):
        self.seen = []

    def on_train_batch_end(self, trainer, *_):
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


def test_milestones_in_steps_whatever_an_epoch_is():
    rates = Rates()
    plan = Optimization(learning_rate=1e-3, schedule="step", milestones=(3, 5), unit="steps")
    fitted(plan, callbacks=[rates], max_epochs=None, max_steps=6)
    # Seen after the schedule's step: the third is the first of the lower rate.
    assert rates.seen == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5])


def test_cosine_over_steps_ends_at_nothing():
    rates = Rates()
    fitted(Optimization(learning_rate=1e-3), callbacks=[rates], max_epochs=None, max_steps=6)
    assert rates.seen[2] == pytest.approx(5e-4)
    assert rates.seen[-1] == pytest.approx(0, abs=1e-9)


def test_plateau_lowers_the_rate_when_nothing_gets_better():
    plan = Optimization(learning_rate=0.0, schedule="plateau", monitor="val/loss", patience=0)
    _, run = fitted(plan, max_epochs=3)
    plateau = run.lr_scheduler_configs[0]
    assert plateau.scheduler.mode == "min"
    assert plateau.scheduler.num_bad_epochs == 0  # it was lowered, and counts anew
    assert plateau.scheduler.last_epoch == 3


def test_rate_grows_with_the_clips_of_a_step():
    plan = Optimization(learning_rate=0.1, reference_batch=16, groups="tsn", schedule="constant")
    _, run = fitted(plan, accumulate_grad_batches=2, max_steps=1)
    rates = {group["name"]: group["lr"] for group in run.optimizers[0].param_groups}
    assert rates["rest"] == pytest.approx(0.1 * 2 * 2 / 16)
    assert rates["head.bias"] == pytest.approx(10 * 0.1 * 2 * 2 / 16)
    with pytest.raises(SettingError, match="batch_size"):
        fitted(plan, data=DataLoader(Clips(), batch_size=2))


def test_labels_are_smoothed_in_training_alone():
    model = create_model("tsm_resnet10_tiny", 2, optimization=Optimization(label_smoothing=0.2))
    scores, label = torch.tensor([[2.0, -1.0]]), torch.tensor([0])
    plain = model.eval().loss(scores, label)
    wrong = model.loss(scores, torch.tensor([1]))
    torch.testing.assert_close(model.train().loss(scores, label), 0.9 * plain + 0.1 * wrong)


def learned(arch, stages, hyperparameters):
    """Gradients of one step, and how many tensors it kept for them."""
    torch.manual_seed(0)
    model = create_model(arch, 2, optimization=Optimization(recompute_stages=stages), dropout=0.0, **hyperparameters)
    model.train().setup("fit")
    model.log = lambda *args, **kwargs: None
    torch.manual_seed(1)
    batch = {"clip": torch.randn(2, model.clip_spec.frames, 3, 32, 32), "label": torch.tensor([0, 1])}
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.numel()) or tensor, lambda t: t):
        loss = model.training_step(batch, 0)
    loss.backward()
    return {name: p.grad for name, p in model.network.named_parameters() if p.grad is not None}, sum(kept)


@pytest.mark.parametrize(
    ("arch", "hyperparameters"),
    [
        ("tsm_resnet10_tiny", {}),
        ("bqn_tsm_resnet10_tiny", {"segments": 2}),
        ("tesnet_tsm_resnet10_tiny", {"frames": 4}),
        ("fullvideo_tsm_resnet10_tiny", {"frames": 4, "clusters": 2, "recompute": False}),
        ("pbnet_tsm_resnet10_tiny", {"rule": "full"}),
    ],
)
def test_recomputed_stages_keep_less_and_learn_the_same(arch, hyperparameters):
    gradients, kept = learned(arch, None, hyperparameters)
    again, less = learned(arch, 4, hyperparameters)
    assert less < 0.6 * kept
    assert gradients.keys() == again.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(again[name], gradient, msg=name)


def test_compiling_keeps_names(monkeypatch):
    compiled = []
    monkeypatch.setattr(nn.Module, "compile", lambda module: compiled.append(type(module).__name__))
    model = create_model("dan_tsm_resnet10_tiny", 2, optimization=Optimization(compiled=True))
    names = list(model.network.state_dict())
    model.setup("fit")
    model.setup("validate")
    assert compiled == ["Sequential", "FrameResNet"]
    assert list(model.network.state_dict()) == names


def test_shift_of_a_compiled_network_is_the_shift():
    clip = torch.randn(2, 5, 17, 3, 3)
    compiled = torch.compile(lambda clip: temporal_shift(clip), backend="eager", fullgraph=True)
    assert torch.equal(compiled(clip), temporal_shift(clip))


@pytest.mark.slow
def test_compiled_network_learns_the_same(monkeypatch):
    """Traced and differentiated as a whole; without the generated code, which takes minutes to compile on a CPU."""
    compile_module = nn.Module.compile
    monkeypatch.setattr(nn.Module, "compile", lambda module: compile_module(module, backend="aot_eager"))

    def weights(*, compiled):
        torch.manual_seed(0)
        plan = Optimization(learning_rate=0.01, compiled=compiled)
        model, _ = fitted(plan, hyperparameters={"dropout": 0.0}, max_steps=2)
        return model.network.state_dict()

    torch.testing.assert_close(weights(compiled=True), weights(compiled=False), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"groups": "tsm"}, "groups 'tsm': must be one of uniform, tsn"),
        ({"schedule": "linear"}, "schedule 'linear': must be one of cosine"),
        ({"batch_norm": "none"}, "batch_norm 'none'"),
        ({"schedule": "plateau", "warmup_epochs": 1}, "warmup_epochs 1"),
        ({"reference_batch": 0}, "reference_batch 0"),
    ],
)
def test_wrong_settings_name_what_is_allowed(wrong, text):
    with pytest.raises(SettingError, match=text):
        Optimization(**wrong)


def test_unknown_policy():
    with pytest.raises(UnknownNameError, match="tsn"):
        parameter_groups(nn.Linear(2, 2), "tsm", learning_rate=1, weight_decay=1)
