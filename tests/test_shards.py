"""Videos in sharded archives: written, split over workers and processes, never unpickled."""

import io
import pickle
import shutil
import tarfile

import pytest
import torch
from two_processes import SPEC, Seen, new_model, new_trainer

from videozoo.cli import main
from videozoo.data.datamodules import VideoFolder
from videozoo.data.datamodules.shards import Shards
from videozoo.data.shard_dataset import ShardDataset
from videozoo.data.shard_loader import ShardLoader
from videozoo.data.shards import read_index
from videozoo.errors import AnnotationError, SettingError

pytest.importorskip("webdataset")


@pytest.fixture
def shards(tmp_path, videos):
    """Seven videos in three shards of training, the same in validation."""
    for part in ("train", "val"):
        for i in range(7):
            folder = tmp_path / "videos" / part / ("jump" if i < 4 else "run")
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(videos[i % 3], folder / f"{i}.mp4")
    command = ["data", "shard", "video_folder", str(tmp_path / "videos"), str(tmp_path / "shards"), "--videos", "3"]
    assert main(command) == 0
    assert main(command) == 2, "nothing is written over"
    return tmp_path / "shards"


def test_shards_hold_what_the_folder_holds(shards):
    index = read_index(shards / "train")
    assert index.classes == ("jump", "run")
    assert [count for _, count in index.shards] == [3, 3, 1]
    streamed = ShardDataset(shards / "val", SPEC, training=False)
    listed = VideoFolder(shards.parent / "videos", clip_spec=SPEC).dataset("val")
    samples = {int(sample["index"]): sample for sample in streamed}
    assert sorted(samples) == list(range(7))
    for place, sample in samples.items():
        assert torch.equal(sample["clip"], listed[place]["clip"])
        assert sample["label"] == listed[place]["label"]


@pytest.mark.parametrize("workers", [0, 2])
def test_epochs_differ_and_hold_every_video_once(shards, workers):
    loader = ShardLoader(ShardDataset(shards / "train", SPEC, training=True), batch_size=7, num_workers=workers)
    orders = []
    for epoch in (0, 1, 0):
        loader.sampler.set_epoch(epoch)
        (batch,) = loader
        assert sorted(batch["index"].tolist()) == list(range(7))
        orders.append((batch["index"].tolist(), batch["clip"]))
    assert orders[0][0] == orders[2][0]
    assert torch.equal(orders[0][1], orders[2][1])
    assert not torch.equal(orders[0][1], orders[1][1])


def test_processes_read_different_shards(shards, monkeypatch):
    seen = []
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in (0, 1):
        monkeypatch.setenv("RANK", str(rank))
        seen.append({int(sample["index"]) for sample in ShardDataset(shards / "val", SPEC, training=False)})
    assert not seen[0] & seen[1]
    assert seen[0] | seen[1] == set(range(7))


def test_training_on_shards(shards):
    seen = Seen()
    data = Shards(shards, clip_spec=SPEC, batch_size=2)
    model = new_model()
    new_trainer(max_epochs=2, callbacks=[seen]).fit(model, data)
    assert [len(batch) for batch in seen.videos["train"]] == [2] * 6
    assert sorted(index for batch in seen.videos["val"] for index in batch) == sorted(2 * list(range(7)))
    assert model.labels == ("jump", "run")


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def test_hostile_shards(shards):
    """Files that the library's own decoders would unpickle stay bytes; a broken video leaves its place empty."""
    archive = shards / "val" / "000002.tar"
    note = b'{"label": 0, "path": "x", "index": 99}'
    with tarfile.open(archive, "w") as tar:
        for name, content in (("9.mp4", b"broken"), ("9.json", note), ("9.pyd", pickle.dumps(Bomb()))):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    samples = list(ShardDataset(shards / "val", SPEC, training=False))
    assert [int(sample["failed"]) for sample in samples if "clip" not in sample] == [99]
    (shards / "val" / "index.json").write_text("{}")
    with pytest.raises(AnnotationError, match="not an index"):
        ShardDataset(shards / "val", SPEC, training=False)
    with pytest.raises(AnnotationError, match="data shard"):
        ShardDataset(shards, SPEC, training=False)
    with pytest.raises(SettingError, match="allowed for shards"):
        ShardDataset(shards / "train", SPEC, training=True, on_error="replace")
