"""Two processes on a CPU (gloo, under torchrun) learn what one does with the double batch, whatever the method."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from two_process_methods import METHODS, SHARDED, main

EXAMPLES = Path(__file__).parents[1] / "examples" / "distributed"
RECIPE = """
title: two steps
model: {arch: tsm_resnet10_tiny, num_classes: 2, optimization: {learning_rate: 0.01, reference_batch: 8}}
clip: {frames: 4, size: 32, resize: 36}
data: {name: video_folder, batch_size: 2}
trainer: {max_epochs: 1, limit_train_batches: 2, limit_val_batches: 1, accelerator: cpu}
"""
SCRIPT = Path(__file__).parent / "two_process_methods.py"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What both ranks hold after three steps, and what one process holds."""
    folder = tmp_path_factory.mktemp("ranks")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(SCRIPT)]
    done = subprocess.run([*command, str(folder), "2"], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    main(folder, 1)
    return [torch.load(folder / name) for name in ("world2_rank0.pt", "world2_rank1.pt", "world1_rank0.pt")]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*METHODS, *SHARDED])
def test_two_processes_and_one_learn_the_same(results, name):
    first, second, alone = (result[name] for result in results)
    assert torch.equal(first["weights"], second["weights"])
    assert first["moved"] > 1e-3
    if name == "pbnet flow":  # which length of flow a video is learned from depends on its place in the batch
        return
    torch.testing.assert_close(first["weights"], alone["weights"], rtol=1e-3, atol=2e-5)
    assert first["alphas"] == second["alphas"] == pytest.approx(alone["alphas"], abs=1e-3)
    assert name != "dan mgda" or any(0.01 < alpha < 0.99 for alpha in first["alphas"])


@pytest.mark.slow
def test_methods_that_run_parts_of_their_network_are_not_sharded(results):
    assert "DAN: its weights cannot be spread over processes; use strategy ddp" in results[0]["refused"]


@pytest.mark.slow
def test_the_example_of_torchrun(videos, tmp_path):
    for name in ("a", "b"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(6):
            shutil.copy(videos[i % 3], tmp_path / "data" / name / f"{i}.mp4")
    (tmp_path / "two_steps.yaml").write_text(RECIPE)
    settings = {"RECIPE": str(tmp_path / "two_steps.yaml"), "DATA": str(tmp_path / "data"), "NPROC": "2"}
    environment = {
        **os.environ, **settings, "PORT": "29617", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    }  # fmt: skip
    words = [str(EXAMPLES / "torchrun.sh"), "--trainer.default_root_dir", str(tmp_path / "run")]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    (checkpoint,) = tmp_path.glob("run/**/*.ckpt")
    content = torch.load(checkpoint, weights_only=True)
    assert content["global_step"] == 2
    assert content["optimizer_states"][0]["param_groups"][0]["initial_lr"] == 0.01 * 2 * 2 / 8


@pytest.mark.parametrize("name", ["torchrun.sh", "slurm.sbatch"])
def test_examples_are_shell_scripts(name):
    subprocess.run(["bash", "-n", str(EXAMPLES / name)], check=True)
