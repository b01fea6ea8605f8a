"""Where a training step's time goes: the parts are those of the step, and the levers are tried."""

import numpy as np
import pytest
import torch
from conftest import write_video

from videozoo.cli import main
from videozoo.cli.bench_train import _advice
from videozoo.evaluation.train_step import PARTS, Step, loop_seconds, median_times, with_faster_computing


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    root = tmp_path_factory.mktemp("bench")
    noise = np.random.default_rng(0).integers(0, 255, (6, 32, 40, 3), dtype=np.uint8)
    for name in ("a", "b"):
        (root / name).mkdir()
        for i in range(2):
            write_video(root / name / f"{i}.mp4", noise)
    return root


def test_a_timed_step_is_an_ordinary_step():
    weight = torch.nn.Parameter(torch.ones(3))
    step = Step(lambda batch: (weight * batch["clip"]).sum(), torch.optim.SGD([weight], lr=0.5))
    step({"clip": torch.ones(3)})
    assert torch.equal(weight, torch.full((3,), 0.5))
    times = median_times(step, lambda: {"clip": torch.ones(3)}, rounds=2)
    assert tuple(times) == PARTS
    assert torch.equal(weight, torch.full((3,), -1.0))
    assert weight.grad is None
    assert loop_seconds(step, lambda: [{"clip": torch.zeros(3)}] * 5, rounds=2) > 0


def test_what_a_step_becomes():
    times = {"data": 3.0, "forward": 2.0, "backward": 4.0, "optimiser": 1.0}
    assert with_faster_computing(times, 0.5) == pytest.approx(0.65)
    assert with_faster_computing(times, 1.0) == pytest.approx(1.0)
    assert _advice(times, {"plain": 1.0, "a": 0.8, "b": 0.5, "c": 0.99}) == (
        "Most of a step is backward (40 %); what helps: b (0.50), a (0.80)."
    )
    assert "none of these levers" in _advice(times, {"plain": 1.0, "a": 1.2})


@pytest.mark.parametrize("model", ["tsm_resnet10_tiny", pytest.param("dan_tsm_resnet10_tiny", marks=pytest.mark.slow)])
def test_bench_train(videos, capsys, model):
    words = ["--videos", str(videos), "--batch-size", "2", "--rounds", "1", "--workers", "1", "--device", "cpu"]
    assert main(["bench", "train", "--model", model, *words]) == 0
    printed = capsys.readouterr().out
    for name in (
        *PARTS,
        "1 workers",
        "videos in memory",
        "channels last",
        "recomputation",
        "bfloat16",
        "Most of a step",
    ):
        assert name in printed
    assert main(["bench", "train", "--rounds", "0"]) == 2
