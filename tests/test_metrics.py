"""Metrics against recorded figures of other implementations."""

import pytest
import torch

from videozoo.evaluation.metrics import MeanAveragePrecision, average_precisions


def test_mean_average_precision_equals_the_recorded_one(reference):
    case = reference("protocols/evaluation.json")["mean_average_precision"]
    scores, labels = torch.tensor(case["scores"]), torch.tensor(case["labels"])
    precisions = average_precisions(scores, labels > 0)
    assert torch.isnan(precisions[-1])
    assert precisions[:-1].tolist() == pytest.approx(case["ap_mmaction2"][:-1], abs=1e-9)
    metric = MeanAveragePrecision()
    for part in (slice(0, 5), slice(5, None)):
        metric.update(scores[part], labels[part])
    assert metric.compute().item() == pytest.approx(case["map_mmaction2"], abs=1e-9)


def test_average_precision_by_hand():
    scores = torch.tensor([[0.9, 0.5], [0.8, 0.5], [0.7, 0.5], [0.6, 0.5]])
    labels = torch.tensor([[1, 1], [0, 0], [1, 0], [0, 0]])
    # The second class ties: all four are taken together, a quarter of them right.
    assert average_precisions(scores, labels > 0).tolist() == pytest.approx([(1 + 2 / 3) / 2, 0.25])


def test_classes_without_positives_and_ranges_of_batches_do_not_count():
    labels = torch.tensor([[1, 0, 0], [0, 1, 0]])
    metric = MeanAveragePrecision()
    metric.update(torch.tensor([[0.9, 0.1, 0.5]]), labels[:1])  # looks like probabilities
    metric.update(torch.tensor([[-40.0, 60.0, 50.0]]), labels[1:])
    assert metric.compute() == 1


def test_large_scores_keep_their_order():
    scores = torch.tensor([[40.0], [41.0], [42.0]])  # all the same after a sigmoid in single precision
    assert average_precisions(scores, torch.tensor([[0], [0], [1]]) > 0).item() == 1
