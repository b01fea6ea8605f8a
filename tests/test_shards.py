"""Videos in sharded archives: written, split over workers and processes, resumed, never unpickled."""

import io
import json
import pickle
import shutil
import tarfile
import warnings
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import torch
from pytorch_lightning.callbacks import ModelCheckpoint
from two_processes import SPEC, Seen, Stop, new_model, new_trainer, run_two_processes

from videozoo.cli import main
from videozoo.data.datamodules import VideoFolder
from videozoo.data.datamodules.shards import Shards
from videozoo.data.shard_dataset import ShardDataset
from videozoo.data.shard_loader import ShardLoader
from videozoo.data.shards import read_index
from videozoo.errors import AnnotationError, SettingError, VideoError

pytest.importorskip("webdataset")


@pytest.fixture(scope="module")
def written(tmp_path_factory, videos):
    """Seven videos in three shards of training, the same in validation."""
    root = tmp_path_factory.mktemp("written")
    for part in ("train", "val"):
        for i in range(7):
            folder = root / "videos" / part / ("jump" if i < 4 else "run")
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy(videos[i % 3], folder / f"{i}.mp4")
    command = ["data", "shard", "video_folder", str(root / "videos"), str(root / "shards"), "--videos", "3"]
    assert main(command) == 0
    assert main(command) == 2, "nothing is written over"
    return root


@pytest.fixture
def shards(written, tmp_path):
    return shutil.copytree(written / "shards", tmp_path / "shards")


def put(archive, members, *, broken=()):
    """Write an archive anew: what it held, and more files; those of ``broken`` videos are no videos."""
    with tarfile.open(archive) as tar:
        held = {member.name: tar.extractfile(member).read() for member in tar if member.isreg()}
    names = {name.split(".")[0] for name in broken}
    held = {name: b"broken" if name.endswith(".mp4") and name.split(".")[0] in names else held[name] for name in held}
    with tarfile.open(archive, "w") as tar:
        for name, content in {**held, **members}.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))


def break_video(folder, index):
    """Spoil one video, in whichever archive it lies."""
    for archive in folder.glob("*.tar"):
        put(archive, {}, broken=[f"{index:09d}"])


def test_shards_hold_what_the_folder_holds(written):
    shards = written / "shards"
    index = read_index(str(shards), "train")
    assert index.classes == ("jump", "run")
    assert [count for _, count in index.shards] == [3, 3, 1]
    streamed = ShardDataset(shards, "val", SPEC, training=False)
    listed = VideoFolder(written / "videos", clip_spec=SPEC).dataset("val")
    samples = {int(sample["index"]): sample for sample in streamed}
    assert sorted(samples) == list(range(7))
    for place, sample in samples.items():
        assert torch.equal(sample["clip"], listed[place]["clip"])
        assert sample["label"] == listed[place]["label"]


@pytest.mark.parametrize("workers", [0, 2])
def test_epochs_differ_and_hold_every_video_once(written, workers):
    dataset = ShardDataset(written / "shards", "train", SPEC, training=True)
    loader = ShardLoader(dataset, batch_size=7, num_workers=workers)
    orders = []
    for epoch in (0, 1, 0):
        loader.sampler.set_epoch(epoch)
        (batch,) = loader
        assert sorted(batch["index"].tolist()) == list(range(7))
        orders.append((batch["index"].tolist(), batch["clip"]))
    assert orders[0][0] == orders[2][0]
    assert torch.equal(orders[0][1], orders[2][1])
    assert not torch.equal(orders[0][1], orders[1][1])


def test_processes_read_different_shards(written):
    parts = [
        ShardDataset(written / "shards", "val", SPEC, training=False, num_replicas=2, rank=rank) for rank in (0, 1)
    ]
    loaders = [ShardLoader(part, batch_size=2, num_workers=rank) for rank, part in enumerate(parts)]
    seen = [[index for batch in loader for index in batch["index"].tolist()] for loader in loaders]
    assert sorted(seen[0] + seen[1]) == list(range(7))
    assert len(loaders[0]) == len(loaders[1]) == 2, "they wait for one another at every batch"
    with pytest.raises(SettingError, match="3 shards for 4 processes"):
        ShardLoader(ShardDataset(written / "shards", "val", SPEC, training=False, num_replicas=4), batch_size=2)


@pytest.mark.parametrize("workers", [0, 2, 3])
def test_an_epoch_goes_on_from_the_same_video(written, workers, monkeypatch):
    def loader():
        dataset = ShardDataset(written / "shards", "train", SPEC, training=True, seed=workers)
        return ShardLoader(dataset, batch_size=2, num_workers=workers)

    whole = loader()
    whole.sampler.set_epoch(1)
    batches = list(whole)
    decoded = []
    clip = ShardDataset._clip
    if not workers:
        monkeypatch.setattr(ShardDataset, "_clip", lambda self, video: decoded.append(video) or clip(self, video))
    for done in (1, 2):
        stopped = loader()
        stopped.sampler.set_epoch(1)
        iterator = iter(stopped)
        for _ in range(done):
            next(iterator)
        decoded.clear()
        resumed = loader()
        resumed.load_state_dict(stopped.state_dict())
        rest = list(resumed)
        assert [batch["index"].tolist() for batch in rest] == [batch["index"].tolist() for batch in batches[done:]]
        assert all(torch.equal(ours["clip"], theirs["clip"]) for ours, theirs in zip(rest, batches[done:], strict=True))
        assert workers or len(decoded) == 2 * len(rest), "what was given out is not decoded again"
        assert len(list(resumed)) == len(batches), "only the first epoch after resuming is shortened"


def test_killed_training_goes_on(written, tmp_path):
    def fit(seen, *callbacks, **options):
        model = new_model()
        trainer = new_trainer(max_epochs=2, callbacks=[seen, *callbacks], enable_checkpointing=bool(callbacks))
        trainer.fit(model, Shards(written / "shards", clip_spec=SPEC, batch_size=2), **options)
        return model

    whole, first, second = Seen(), Seen(), Seen()
    expected = fit(whole)
    assert [len(batch) for batch in whole.videos["train"]] == [2] * 6
    assert sorted(index for batch in whole.videos["val"] for index in batch) == sorted(2 * list(range(7)))
    assert expected.labels == ("jump", "run")
    kept = ModelCheckpoint(tmp_path, "last", every_n_train_steps=1, enable_version_counter=False)
    with pytest.raises(RuntimeError, match="power cut"):
        fit(first, Stop(RuntimeError("power cut"), 1), kept)
    resumed = fit(second, ckpt_path=str(tmp_path / "last.ckpt"))
    assert whole.videos["train"][:4] + second.videos["train"] == whole.videos["train"]
    for name, value in expected.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


@pytest.mark.parametrize("on_error", ["replace", "skip", "raise"])
def test_bad_videos(shards, on_error):
    (batch,) = Shards(shards, clip_spec=SPEC, batch_size=7).train_dataloader()
    jumps = [index for index in batch["index"].tolist() if index < 4]
    break_video(shards / "train", jumps[-1])
    break_video(shards / "val", 6)
    data = Shards(shards, clip_spec=SPEC, batch_size=7, on_error=on_error)
    if on_error == "raise":
        with pytest.raises(
            VideoError, match=rf"\.tar, 00000000{jumps[-1]} \(train/jump/{jumps[-1]}\.mp4\): not a video"
        ):
            list(data.train_dataloader())
        return
    (batch,) = data.train_dataloader()
    assert batch["failed"].tolist() == [jumps[-1]]
    assert len(batch["label"]) == (7 if on_error == "replace" else 6)
    assert batch["label"].tolist().count(0) == (4 if on_error == "replace" else 3)
    assert jumps[-1] not in batch["index"].tolist()
    seen = Seen()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer = new_trainer(max_epochs=2, callbacks=[seen], num_sanity_val_steps=1)
        trainer.fit(new_model(), data)
    reports = [str(warning.message) for warning in caught if "could not be read" in str(warning.message)]
    assert [report.split(": ")[0] for report in reports] == [
        f"{part}, epoch {epoch}" for epoch in (0, 1) for part in ("train", "val")
    ]
    assert all(f"train/jump/{jumps[-1]}.mp4" in report for report in reports if report.startswith("train"))
    assert sorted(index for batch in seen.videos["val"] for index in batch) == sorted(3 * list(range(6)))
    predicted = trainer.predict(new_model(), data)
    assert sorted(index for answer in predicted for index in answer["index"].tolist()) == list(range(6))


def test_batches_without_any_readable_video(shards):
    for index in range(4):
        break_video(shards / "train", index)
    seen = Seen()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        data = Shards(shards, clip_spec=SPEC, batch_size=1, on_error="skip")
        new_trainer(max_epochs=1, callbacks=[seen], limit_val_batches=0).fit(new_model(), data)
        assert [len(batch) for batch in seen.videos["train"]] == [1] * 7, "another video stands in"
        for index in range(4, 7):
            break_video(shards / "train", index)
        with pytest.raises(VideoError, match="no video of a batch could be read"):
            new_trainer(max_epochs=1, limit_val_batches=0).fit(new_model(), data)


def test_mirrored_labels(written, shards):
    text = (shards / "train" / "index.json").read_text()
    (shards / "train" / "index.json").write_text(text.replace("jump", "to the left").replace("run", "to the right"))
    for mirror, both in (("swap", True), ("keep", False)):
        data = Shards(shards, clip_spec=SPEC, batch_size=7, mirror=mirror)
        loader = data.train_dataloader()
        labels = {0: set(), 1: set()}
        for epoch in range(8):
            loader.sampler.set_epoch(epoch)
            for batch in loader:
                for index, label in zip(batch["index"].tolist(), batch["label"].tolist(), strict=True):
                    labels[int(index >= 4)].add(label)
        assert labels == ({0: {0, 1}, 1: {0, 1}} if both else {0: {0}, 1: {1}})
    for settings in ({"balance": True}, {"in_memory": True}, {"mirror": "yes"}):
        with pytest.raises(SettingError):
            Shards(shards, clip_spec=SPEC, **settings)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def server(shards):
    """The shards behind a web server of this machine."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(shards))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("workers", [0, 2])
def test_shards_from_an_address_or_a_command(shards, server, workers):
    settings = {"clip_spec": SPEC, "batch_size": 4, "num_workers": workers}
    local = list(Shards(shards, **settings).test_dataloader())
    for root in (server, f"pipe:cat '{shards}/{{}}'"):
        data = Shards(root, **settings)
        assert data.classes == ("jump", "run")
        for ours, theirs in zip(data.test_dataloader(), local, strict=True):
            assert ours["index"].tolist() == theirs["index"].tolist()
            assert torch.equal(ours["clip"], theirs["clip"])


def test_addresses_that_hold_no_shards(shards, server):
    for root in (
        f"{server}/absent",
        "http://127.0.0.1:9",
        "ftp2://host/shards",
        "pipe:false {}",
        str(shards / "absent"),
    ):
        with pytest.raises(AnnotationError, match=r"train/index\.json.*: no index of shards"):
            Shards(root, clip_spec=SPEC).train_dataloader()
    with pytest.raises(SettingError, match=r"needs \{\}"):
        Shards("pipe:cat", clip_spec=SPEC).train_dataloader()


@pytest.mark.parametrize("damage", ["cut", "absent", "noise"])
def test_shards_that_are_damaged_or_absent(shards, server, damage):
    """What can be read of the others is read; the damage is reported, or raised where that is asked for."""
    archive = shards / "val" / "000000.tar"
    content = archive.read_bytes()
    archive.unlink()
    if damage != "absent":
        archive.write_bytes(content[: len(content) // 2] if damage == "cut" else bytes(range(256)) * 40)
    for root in (str(shards), server):
        batches = list(Shards(root, clip_spec=SPEC, batch_size=3).val_dataloader())
        assert len(batches) == 3
        read = [index for batch in batches for index in batch["index"].tolist()]
        assert 4 <= len(set(read)) == len(read) < 7
        assert any("val/000000.tar" in problem for batch in batches for problem in batch["problems"])
        for workers in (0, 1):
            with pytest.raises(VideoError, match=r"^[^\n]*val/000000\.tar[^\n]*$"):
                list(Shards(root, clip_spec=SPEC, on_error="raise", num_workers=workers).val_dataloader())


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def test_hostile_shards(shards):
    """Files that the library's own decoders would unpickle stay bytes; wrong notes and labels are bad videos."""

    def note(label):
        return json.dumps({"label": label, "path": "x", "index": 99}).encode()

    members = {"9.mp4": b"broken", "9.json": note(0), "9.pyd": pickle.dumps(Bomb())}
    members |= {"10.mp4": b"broken", "10.json": note(7)}
    members |= {"11.mp4": b"broken", "11.json": b'{"label": "one"}', "12.json": b"[]"}
    put(shards / "val" / "000002.tar", members)
    samples = list(ShardDataset(shards, "val", SPEC, training=False))
    assert sum("clip" in sample for sample in samples) == 7
    problems = [sample["problem"] for sample in samples if "clip" not in sample]
    assert len(problems) == 4
    assert all("000002.tar" in problem for problem in problems)
    file = shards / "val" / "index.json"
    for name in ("../x.tar", "x.tar; rm y", "-x.tar", "/etc/x.tar"):
        file.write_text(json.dumps({"classes": ["a"], "shards": [{"file": name, "videos": 1}]}))
        with pytest.raises(AnnotationError, match="a name has letters"):
            ShardDataset(shards, "val", SPEC, training=False)
    file.write_text("{}")
    with pytest.raises(AnnotationError, match="not an index"):
        ShardDataset(shards, "val", SPEC, training=False)
    with pytest.raises(SettingError, match="allowed are skip, replace, raise"):
        ShardDataset(shards, "train", SPEC, training=True, on_error="ignore")


def test_folders_of_pictures_are_not_packed(tmp_path, capsys):
    folder = tmp_path / "20bn-something-something-v1" / "1"
    folder.mkdir(parents=True)
    (tmp_path / "something-something-v1-labels.csv").write_text("Doing\n")
    for part in ("train", "validation"):
        (tmp_path / f"something-something-v1-{part}.csv").write_text("1;Doing\n")
    command = ["data", "shard", "something_something", str(tmp_path), str(tmp_path / "out"), "--set", "version=1"]
    assert main(command) == 2
    assert "a folder of pictures" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_count_every_video_once(written, tmp_path):
    command = ["data", "shard", "video_folder", str(written / "videos"), str(tmp_path / "shards"), "--videos", "2"]
    assert main(command) == 0
    ranks = run_two_processes(tmp_path / "shards", tmp_path)
    trained = [{index for batch in rank["seen"]["train"] for index in batch} for rank in ranks]
    assert [len(indices) for indices in trained] == [2, 2], "the least that both can have"
    assert not trained[0] & trained[1]
    for part in ("val", "test"):
        batches = [rank["seen"][part] for rank in ranks]
        assert len(batches[0]) == len(batches[1])
        assert sorted(index for rank in batches for batch in rank for index in batch) == list(range(7))
    assert ranks[0]["metrics"] == ranks[1]["metrics"]
