"""TVNet in front of a backbone: what it sees, what it learns from and how fast."""

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from videozoo import create_model
from videozoo.inference.optimize import optimize_for_inference
from videozoo.methods.tvnet import TVNet
from videozoo.training.optimization import Optimization

SMALL = {"iterations": 3, "dropout": 0.0}


def clips(videos=2, segments=3):
    """Frames in 0..255 that drift to the right."""
    texture = 255 * torch.rand(videos, 1, 3, 64, 98)
    return torch.cat([texture[..., 2 * i : 2 * i + 64] for i in range(6 * segments)], dim=1)


class Batches(torch.utils.data.Dataset):
    def __len__(self):
        return 4

    def __getitem__(self, index):
        return {"clip": clips(1)[0], "label": index % 3, "index": index}


@pytest.mark.parametrize("backbone", ["tsm_resnet10_tiny", "x3d_tiny"])
def test_network_learns_saves_and_loads(backbone):
    model = create_model(f"tvnet_{backbone}", 3, **SMALL)
    scores, flow_loss = model.forward_with_loss(clips())
    assert scores.shape == (2, 3)
    (model.loss(scores, torch.tensor([0, 2])) + flow_loss).backward()
    assert model.flow_layers.u0.grad.any()
    assert model.flow_layers.filters.grad.any()
    again = TVNet(**model.hparams).eval()
    again.load_state_dict(model.state_dict())
    model.eval()
    clip = clips()
    torch.testing.assert_close(again(clip), model(clip))
    torch.testing.assert_close(optimize_for_inference(model.network)(clip), model(clip), rtol=1e-3, atol=1e-3)
    assert model(clip[:, :6]).shape == (2, 3)  # any number of segments


def test_backbone_sees_flow_in_grey_levels():
    model = create_model("tvnet_tsm_resnet10_tiny", 3, **SMALL, segments=2)
    seen = []
    model.network.backbone.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    clip = clips(segments=2)
    model(clip)
    stacks = model.flow_layers(clip)
    assert stacks.shape == (2, 2, 10, 64, 64)
    torch.testing.assert_close(seen[0], stacks * 6.375)


def test_clip_spec_gives_raw_pixels():
    spec = create_model("tvnet_bn_inception", 101, iterations=2).clip_spec
    assert (spec.frames, spec.frames_per_segment, spec.segments) == (18, 6, 3)
    assert (spec.value_range, spec.mean, spec.std, spec.channel_order) == (255, (0, 0, 0), (1, 1, 1), "rgb")
    assert (spec.views.crops, spec.views.frames, spec.views.average) == (10, 150, "scores")


def test_flow_layers_have_the_papers_size():
    """BN-Inception at 101 classes with 10 channels, 16 numbers an iteration, u0 at the network's size."""
    model = create_model("tvnet_bn_inception", 101)
    layers = model.flow_layers
    assert layers.filters.numel() == 16 * 50
    assert layers.u0.shape == (2, 224, 224)
    assert (layers.scales, layers.warps, layers.iterations) == (1, 1, 50)
    body = sum(parameter.numel() for parameter in model.network.backbone.parameters())
    assert body == pytest.approx(10.37e6 + 7 * 64 * 49, rel=3e-3)


def test_flow_layers_learn_255_times_more_slowly():
    model = create_model("tvnet_tsm_resnet10_tiny", 3, **SMALL, optimization=Optimization(learning_rate=0.51))
    groups = {group["name"]: group for group in model.parameter_groups()}
    rest, flow = groups["rest"], groups["flow"]
    assert flow["lr"] == pytest.approx(0.002)
    assert {id(p) for p in flow["params"]} == {id(p) for p in model.flow_layers.parameters()}
    assert len(rest["params"]) + len(flow["params"]) == len(list(model.parameters()))
    optimizer = model.optimization.build_optimizer(model.parameter_groups())
    assert {group["lr"] for group in optimizer.param_groups} == {0.51, flow["lr"]}
    frozen = create_model("tvnet_tsm_resnet10_tiny", 3, **SMALL, trainable="nothing")
    assert len(frozen.parameter_groups()) == 1


@pytest.mark.parametrize("flow_loss", [0.0, 0.1])
def test_loss_of_training(flow_loss):
    model = create_model("tvnet_tsm_resnet10_tiny", 3, **SMALL, flow_loss=flow_loss)
    model.log = lambda *args, **kwargs: None
    batch = {"clip": clips(), "label": torch.tensor([0, 1]), "index": torch.arange(2)}
    scores, energy = model.eval().forward_with_loss(batch["clip"])
    expected = model.loss(scores, batch["label"]) + flow_loss * energy
    torch.testing.assert_close(model.training_step(batch, 0), expected)


def test_trains_with_lightning(tmp_path):
    model = create_model("tvnet_tsm_resnet10_tiny", 3, **SMALL, segments=1)
    before = [parameter.detach().clone() for parameter in model.flow_layers.parameters()]
    trainer = pl.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path,
    )  # fmt: skip
    trainer.fit(model, DataLoader(Batches(), batch_size=2), DataLoader(Batches(), batch_size=2))
    assert {"train/loss", "train/flow_loss", "val/top1"} <= trainer.logged_metrics.keys()
    for old, new in zip(before, model.flow_layers.parameters(), strict=True):
        assert not torch.equal(old, new)
