"""Data modules under Lightning: interrupted training, several processes, broken videos."""

import shutil
import warnings

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint, OnExceptionCheckpoint
from two_processes import SPEC, Seen, Stop, new_data, new_model, new_trainer, run_two_processes

from videozoo.data.datamodules import VideoFolder
from videozoo.errors import VideoError


@pytest.fixture
def folder(tmp_path, videos):
    """Five videos a class for training, seven in all for validation and test."""
    root = tmp_path / "videos"
    counts = {("train", "jump"): 5, ("train", "run"): 4, ("test", "jump"): 4, ("test", "run"): 3}
    for (part, name), count in counts.items():
        (root / part / name).mkdir(parents=True)
        for i in range(count):
            shutil.copy(videos[i % 3], root / part / name / f"{i}.mp4")
    return root


@pytest.mark.parametrize(
    ("error", "kept"),
    [(KeyboardInterrupt(), "on exception"), (RuntimeError("power cut"), "each step"), (RuntimeError(), "each epoch")],
)
def test_killed_training_goes_on_from_the_same_video(folder, tmp_path, error, kept):
    whole = Seen()
    expected = new_model()
    new_trainer(max_epochs=3, callbacks=[whole]).fit(expected, new_data(folder))

    checkpoints = {
        "on exception": OnExceptionCheckpoint(tmp_path, "last"),
        "each step": ModelCheckpoint(tmp_path, "last", every_n_train_steps=1, enable_version_counter=False),
        "each epoch": ModelCheckpoint(tmp_path, "last", save_on_train_epoch_end=True, enable_version_counter=False),
    }
    first, second = Seen(), Seen()
    killed = new_trainer(max_epochs=3, callbacks=[first, Stop(error, 2), checkpoints[kept]], enable_checkpointing=True)
    with pytest.raises((SystemExit, RuntimeError)):
        killed.fit(new_model(), new_data(folder))
    resumed = new_model()
    checkpoint = tmp_path / "last.ckpt"
    stored = torch.load(checkpoint, weights_only=True)["loops"]["fit_loop"]["state_dict"]["combined_loader"]
    assert stored == [{"epoch": 0, "batches": 4} if kept == "each epoch" else {"epoch": 1, "batches": 2}]
    new_trainer(max_epochs=3, callbacks=[second]).fit(resumed, new_data(folder), ckpt_path=str(checkpoint))

    done = 4 if kept == "each epoch" else 6
    assert whole.videos["train"][:done] + second.videos["train"] == whole.videos["train"]
    assert len(second.videos["val"]) == (4 * 2 if kept != "each epoch" else 4 * 3 - 4)
    for name, value in expected.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


@pytest.mark.slow
def test_two_processes_count_every_video_once(folder, tmp_path):
    (folder / "test" / "jump" / "1.mp4").write_bytes(b"broken")
    ranks = run_two_processes(folder, tmp_path)

    trained = [{index for batch in rank["seen"]["train"] for index in batch} for rank in ranks]
    assert not trained[0] & trained[1]
    for part in ("val", "test"):
        batches = [rank["seen"][part] for rank in ranks]
        assert len(batches[0]) == len(batches[1])
        assert sorted(index for rank in batches for batch in rank for index in batch) == [0, 2, 3, 4, 5, 6]
    assert ranks[0]["metrics"] == ranks[1]["metrics"]
    assert any("jump/1.mp4" in report for report in ranks[1]["reports"])
    assert ranks[0]["reports"] == []

    model = new_model()
    model.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        (alone,) = new_trainer().test(model, new_data(folder), verbose=False)
    assert ranks[0]["metrics"] == pytest.approx(alone, rel=1e-5)


def test_broken_videos_are_reported_once_an_epoch(folder):
    for name in ("train/jump/0.mp4", "test/run/2.mp4"):
        (folder / name).write_bytes(b"broken")
    trainer = new_trainer(max_epochs=2, num_sanity_val_steps=2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.fit(new_model(), VideoFolder(folder, clip_spec=SPEC, batch_size=3, on_error="replace"))
    reports = [str(warning.message) for warning in caught if "could not be read" in str(warning.message)]
    assert [report.split(":")[0] for report in reports] == [
        "train, epoch 0",
        "val, epoch 0",
        "train, epoch 1",
        "val, epoch 1",
    ]
    assert all("train/jump/0.mp4" in report for report in reports if report.startswith("train"))
    assert all("1 videos" in report and "test/run/2.mp4" in report for report in reports if report.startswith("val"))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_batches_without_any_readable_video(folder):
    """Batches of one: each broken video leaves its batch empty."""
    for name in ("train/jump/0.mp4", "train/run/1.mp4", "test/run/2.mp4"):
        (folder / name).write_bytes(b"broken")
    seen = Seen()
    data = VideoFolder(folder, clip_spec=SPEC, batch_size=1, on_error="skip")
    trainer = new_trainer(max_epochs=1, callbacks=[seen])
    model = new_model()
    trainer.fit(model, data)
    assert [len(batch) for batch in seen.videos["train"]] == [1] * 9, "another video stands in"
    assert sorted(map(len, seen.videos["val"])) == [0] + [1] * 6
    (tested,) = trainer.test(model, data, verbose=False)
    (folder / "test/run/2.mp4").unlink()
    (without,) = trainer.test(model, VideoFolder(folder, clip_spec=SPEC, batch_size=1), verbose=False)
    assert tested == pytest.approx(without)
    assert sum(len(answer["index"]) for answer in trainer.predict(model, data)) == 6

    for file in folder.glob("train/*/*.mp4"):
        file.write_bytes(b"broken")
    hopeless = VideoFolder(folder, clip_spec=SPEC, batch_size=1)
    with pytest.raises(VideoError, match="no video of a batch could be read"):
        new_trainer(max_epochs=1).fit(model, hopeless)
