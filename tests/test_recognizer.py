"""The shared LightningModule: its loss goes down, its metrics are the field's, views are averaged as said."""

from dataclasses import replace

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from videozoo import create_model
from videozoo.clip_spec import Views
from videozoo.evaluation.metrics import ClassMeanAccuracy
from videozoo.training.optimization import Optimization
from videozoo.training.recognizer import average_views, build_metrics


class Bars(torch.utils.data.Dataset):
    """Clips in which a bar moves right (class 0) or left (class 1)."""

    def __init__(self, count=24, views=0):
        self.count, self.views = count, views

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        clip = torch.zeros(8, 3, 32, 32)
        for t in range(8):
            x = 3 * t if index % 2 == 0 else 21 - 3 * t
            clip[t, :, :, x : x + 4] = 2.0
        clip += 0.3 * torch.randn(clip.shape, generator=torch.Generator().manual_seed(index))
        clip = clip.expand(self.views, *clip.shape) if self.views else clip
        return {"clip": clip, "label": torch.tensor(index % 2), "index": torch.tensor(index)}


def trainer(**options):
    return pl.Trainer(
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, **options
    )


def test_learns_motion_that_no_single_frame_shows():
    pl.seed_everything(0, verbose=False)
    optimization = Optimization("adamw", learning_rate=3e-3, schedule="constant")
    model = create_model("tsm_resnet10_tiny", 2, dropout=0.0, optimization=optimization)
    run = trainer(max_epochs=8)
    run.fit(model, DataLoader(Bars(), batch_size=8, shuffle=True))
    (plain,) = run.test(model, DataLoader(Bars(), batch_size=5), verbose=False)
    (viewed,) = run.test(model, DataLoader(Bars(views=3), batch_size=5), verbose=False)
    assert plain["test/top1"] == 1.0
    assert plain["test/mean_class"] == 1.0
    assert viewed["test/loss"] == pytest.approx(plain["test/loss"], rel=1e-4)
    answers = run.predict(model, DataLoader(Bars(), batch_size=5))
    assert torch.cat([answer["index"] for answer in answers]).tolist() == list(range(24))


def test_hyperparameters_are_names_and_numbers():
    model = create_model("tsm_resnet10_tiny", 7, dropout=0.1)
    assert model.hparams["backbone"] == "tsm_resnet10_tiny"
    assert model.hparams["num_classes"] == 7
    again = create_model(model.hparams["backbone"], model.hparams["num_classes"], dropout=model.hparams["dropout"])
    assert again.network.state_dict().keys() == model.network.state_dict().keys()


def test_views_average_scores_or_probabilities(reference):
    recorded = reference("protocols/evaluation.json")["views"]
    scores = torch.tensor(recorded["scores"])
    by_scores = average_views(scores, "scores")
    by_probabilities = average_views(scores, "probabilities").softmax(-1)
    assert torch.allclose(by_scores, torch.tensor(recorded["mean_of_scores"]), atol=1e-6)
    assert torch.allclose(by_probabilities, torch.tensor(recorded["mean_of_probabilities"]), atol=1e-6)
    assert by_scores.argmax(-1).tolist() == recorded["prediction"]["mean_of_scores"]
    assert by_probabilities.argmax(-1).tolist() == recorded["prediction"]["mean_of_probabilities"]


def test_recognizer_uses_its_protocols_average():
    model = create_model("tsm_resnet10_tiny", 3).eval()
    views = torch.randn(2, 4, 8, 3, 32, 32)
    with torch.no_grad():
        single = torch.stack([model(views[:, v]) for v in range(4)], dim=1)
        assert torch.allclose(model.forward_views(views), single.mean(1), atol=1e-5)
        model.clip_spec = replace(model.clip_spec, views=Views(2, 1, "probabilities"))
        assert torch.allclose(model.forward_views(views).softmax(-1), single.softmax(-1).mean(1), atol=1e-5)


def test_class_mean_leaves_out_classes_without_samples(reference):
    for case in reference("protocols/evaluation.json")["classification"]:
        metrics = build_metrics(case["num_classes"], multilabel=False)
        metrics.update(torch.tensor(case["scores"]), torch.tensor(case["labels"]))
        found = metrics.compute()
        assert found["top1"] == pytest.approx(case["top_k_mmaction2"]["1"])
        assert found["top5"] == pytest.approx(case["top_k_mmaction2"]["5"])
        assert found["mean_class"] == pytest.approx(case["mean_over_classes_that_have_samples"])


def test_class_mean_by_hand():
    metric = ClassMeanAccuracy(4)
    metric.update(torch.tensor([0, 0, 1, 3]), torch.tensor([0, 1, 1, 1]))  # class 3 is answered but has no sample
    assert metric.compute() == pytest.approx((1 + 1 / 3) / 2)
