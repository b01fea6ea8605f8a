"""Data sets by their official lists, and what becomes of videos that are missing or broken."""

import json
import shutil
import warnings

import pytest
import torch
from tiny_data import lay

from videozoo.clip_spec import ClipSpec
from videozoo.data.annotations import Annotations
from videozoo.data.check import check_data
from videozoo.data.datamodules import (
    ARID,
    HMDB51,
    THUMOS14,
    UCF101,
    Breakfast,
    Kinetics,
    SomethingSomething,
    VideoFolder,
)
from videozoo.data.datamodules.something_something import mirrored_classes
from videozoo.data.sampler import NOTHING, EpochSampler, balancing_weights
from videozoo.errors import AnnotationError, VideoError

SPEC = ClipSpec(frames=4, size=32, resize=36)


@pytest.fixture
def folder(tmp_path, videos):
    lay(tmp_path, videos, [f"{name}/{i}.mp4" for name in ("jump", "run") for i in range(5)])
    return tmp_path


def test_folder_per_class_with_a_stratified_holdout(folder):
    data = VideoFolder(folder, clip_spec=SPEC, batch_size=3, holdout=0.2)
    train, val = data.annotations("train"), data.annotations("val")
    assert train.classes == ("jump", "run")
    assert (len(train), len(val)) == (8, 2)
    assert val.class_counts().tolist() == [1, 1]
    assert not {train.relative(i) for i in range(8)} & {val.relative(i) for i in range(2)}
    again = VideoFolder(folder, clip_spec=SPEC, holdout=0.2).annotations("val")
    assert [again.relative(i) for i in range(2)] == [val.relative(i) for i in range(2)]
    batch = next(iter(data.train_dataloader()))
    assert batch["clip"].shape == (3, 4, 3, 32, 32)
    assert batch["failed"].tolist() == []


def test_folders_of_parts_and_lists(tmp_path, videos):
    lay(tmp_path, videos, ["train/a/1.mp4", "train/b/2.mp4", "validate/a/3.mp4", "validate/b/4.mp4"])
    data = VideoFolder(tmp_path, clip_spec=SPEC)
    assert data.annotations("val").relative(0) == "validate/a/3.mp4"
    listed = tmp_path / "list.csv"
    listed.write_text("path,label,start,end\ntrain/a/1.mp4,a,0.2,0.6\nvalidate/a/3.mp4,b,,\n")
    data = VideoFolder(tmp_path, train=listed, val=listed, clip_spec=SPEC)
    spans = [data.annotations("train").span(i) for i in range(2)]
    assert spans == [(0.2, 0.6), (0.0, float("inf"))]
    assert data.dataset("val")[0]["clip"].shape == (1, 4, 3, 32, 32)
    plain = tmp_path / "list.txt"
    plain.write_text("train/a/1.mp4 1\ntrain/b/2.mp4 0\n")
    numbered = VideoFolder(tmp_path, train=plain, val=plain, classes=("x", "y"), clip_spec=SPEC)
    assert numbered.annotations("train").labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a/1.mp4", "line 1: expected path, label"),
        ("a/1.mp4,jmup", "unknown class 'jmup', did you mean 'jump'"),
        ("a/1.mp4,jump,3,2", "line 1: the span 3.0 to 2.0"),
        ("a/1.mp4,jump,x,2", "must be seconds"),
    ],
)
def test_wrong_lists_name_file_and_line(tmp_path, text, message):
    listed = tmp_path / "list.csv"
    listed.write_text(text + "\n")
    with pytest.raises(AnnotationError, match=message) as error:
        VideoFolder(tmp_path, train=listed, classes=("jump", "run"), clip_spec=SPEC).annotations("train")
    assert "list.csv" in str(error.value)


def test_absent_videos_are_counted_not_fatal(folder):
    listed = folder / "list.csv"
    listed.write_text("jump/0.mp4,jump\njump/gone.mp4,jump\nrun/1.mp4,run\n")
    data = VideoFolder(folder, train=listed, val=listed, clip_spec=SPEC)
    with pytest.warns(UserWarning, match="1 of 3 videos are not on disk"):
        assert len(data.dataset("train")) == 2
    listed.write_text("jump/gone.mp4,jump\n")
    with pytest.raises(AnnotationError, match="none of its 1 videos is on disk"):
        VideoFolder(folder, train=listed, val=listed, clip_spec=SPEC).dataset("train")


@pytest.mark.parametrize("on_error", ["replace", "skip", "raise"])
def test_broken_videos(folder, on_error):
    (folder / "jump" / "0.mp4").write_bytes(b"broken")
    data = VideoFolder(folder, clip_spec=SPEC, batch_size=10, holdout=0, on_error=on_error)
    bad = next(i for i in range(10) if data.annotations("train").relative(i) == "jump/0.mp4")
    if on_error == "raise":
        with pytest.raises(VideoError, match=r"0\.mp4"):
            data.dataset("train")[0, bad]
        data.num_workers = 1
        with pytest.raises(VideoError, match=r"^[^\n]*0\.mp4: not a video[^\n]*$"):
            list(data.train_dataloader())
        return
    batch = next(iter(data.train_dataloader()))
    assert batch["failed"].tolist() == [bad]
    assert len(batch["label"]) == (10 if on_error == "replace" else 9)
    assert batch["label"].tolist().count(0) == (5 if on_error == "replace" else 4)
    assert bad not in batch["index"].tolist()


def test_same_seed_same_batches_whatever_the_workers(folder):
    def clips(workers):
        data = VideoFolder(folder, clip_spec=SPEC, batch_size=4, num_workers=workers, seed=3)
        loader = data.train_dataloader()
        loader.sampler.set_epoch(2)
        return list(loader)

    for ours, theirs in zip(clips(0), clips(2), strict=True):
        assert torch.equal(ours["index"], theirs["index"])
        assert torch.equal(ours["clip"], theirs["clip"])


def test_loader_resumes_within_an_epoch(folder):
    data = VideoFolder(folder, clip_spec=SPEC, batch_size=2, holdout=0)
    whole = data.train_dataloader()
    whole.sampler.set_epoch(1)
    batches = list(whole)
    stopped = data.train_dataloader()
    stopped.sampler.set_epoch(1)
    iterator = iter(stopped)
    next(iterator), next(iterator)
    resumed = data.train_dataloader()
    resumed.load_state_dict(stopped.state_dict())
    rest = list(resumed)
    assert len(rest) == len(batches) - 2
    for ours, theirs in zip(rest, batches[2:], strict=True):
        assert torch.equal(ours["clip"], theirs["clip"])
    assert len(list(resumed)) == len(batches), "only the first epoch after resuming is shortened"


def test_ranks_share_an_epoch():
    train = [EpochSampler(range(10), shuffle=True, num_replicas=3, rank=rank) for rank in range(3)]
    orders = [sampler.order() for sampler in train]
    assert {len(order) for order in orders} == {4}
    assert set().union(*orders) == set(range(10))
    evaluation = [EpochSampler(range(10), shuffle=False, num_replicas=3, rank=rank).order() for rank in range(3)]
    assert {len(order) for order in evaluation} == {4}, "ranks wait for one another at the end of every batch"
    assert sorted(index for order in evaluation for index in order if index != NOTHING) == list(range(10))


def test_balanced_sampling_evens_out_classes():
    labels = torch.tensor([0] * 90 + [1] * 10)
    sampler = EpochSampler(range(100), shuffle=True, weights=balancing_weights(labels, 2))
    drawn = torch.tensor([sampler.set_epoch(e) or sampler.order() for e in range(20)]).flatten()
    assert 0.4 < labels[drawn].float().mean() < 0.6


def test_annotations_hold_odd_names_in_columns():
    names = ["a b.avi", "[x]!(&;#).avi", "é/日本.mp4", "plain.mp4"]
    listed = Annotations.build("/videos", ("k",), names, [0, 0, 0, 0])
    assert [listed.relative(i) for i in range(4)] == names
    assert list(listed.paths()) == names
    assert list(listed.select([3, 1]).paths()) == [names[3], names[1]]
    assert list(listed.select([]).paths()) == []


def test_ucf101_official_counts(shared, tmp_path):
    for split, (train, test) in UCF101.official_counts.items():
        data = UCF101(tmp_path, split=split, annotations_folder=shared("data/splits/ucf101"), clip_spec=SPEC)
        assert (len(data.annotations("train")), len(data.annotations("test"))) == (train, test)
        assert data.classes[34:36] == ("Hammering", "HammerThrow")


def test_hmdb51_official_counts(shared, tmp_path):
    for split in (1, 2, 3):
        data = HMDB51(tmp_path, split=split, annotations_folder=shared("data/splits/hmdb51"), clip_spec=SPEC)
        assert (len(data.annotations("train")), len(data.annotations("test"))) == (3570, 1530)
        assert data.annotations("test").class_counts().tolist() == [30] * 51


@pytest.mark.realdata
def test_real_clips_by_the_official_lists(shared):
    data = UCF101(shared("data/clips/ucf101"), split=1, annotations_folder=shared("data/splits/ucf101"), clip_spec=SPEC)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert (len(data.dataset("train")), len(data.dataset("test"))) == (2, 6)
    assert any("9535 of 9537 videos are not on disk" in str(warning.message) for warning in caught)
    batch = next(iter(data.test_dataloader()))
    assert batch["clip"].shape[1:] == (1, 4, 3, 32, 32)


@pytest.mark.realdata
def test_arid_lists(shared):
    data = ARID(shared("data/arid_small"), clip_spec=SPEC, batch_size=2)
    assert data.annotations("train").class_counts().tolist() == [25] * 6
    assert data.annotations("val").class_counts().tolist() == [17, 15, 15, 16, 17, 16]
    assert data.classes == ARID.labels


def test_something_something_mirrors_labels(reference, shared):
    recorded = reference("protocols/labels_and_flips.json")
    for version in (1, 2):
        classes = tuple(shared(f"data/splits/labels/sthv{version}.txt").read_text().splitlines())
        mirrored = mirrored_classes(classes).tolist()
        pairs = [[i, j] for i, j in enumerate(mirrored) if i < j]
        assert pairs == recorded[f"something_something_v{version}"]["swap"]


def test_something_something_v2_json_and_label_swap(tmp_path, videos):
    lay(tmp_path / "20bn-something-something-v2", videos, ["1.webm", "2.webm"])
    names = ["Pulling something from left to right", "Pulling something from right to left"]
    (tmp_path / "labels.json").write_text(json.dumps({name: str(i) for i, name in enumerate(names)}))
    entries = [
        {"id": str(i + 1), "label": "x", "template": name.replace("something", "[something]")}
        for i, name in enumerate(names)
    ]
    for part in ("train", "validation"):
        (tmp_path / f"something-something-v2-{part}.json").write_text(json.dumps(entries))
    data = SomethingSomething(tmp_path, version=2, mirror="swap", clip_spec=SPEC)
    drawn = {int(data.dataset("train")[epoch, 0]["label"]) for epoch in range(12)}
    assert drawn == {0, 1}, "a mirrored clip has the mirrored label"
    never = SomethingSomething(tmp_path, version=2, clip_spec=SPEC)
    assert {int(never.dataset("train")[epoch, 0]["label"]) for epoch in range(12)} == {0}
    (tmp_path / "something-something-v2-train.json").write_text("[{")
    with pytest.raises(AnnotationError, match=r"train\.json, line 1: not JSON"):
        SomethingSomething(tmp_path, version=2, clip_spec=SPEC).annotations("train")


def test_kinetics_layouts(tmp_path, videos):
    lay(tmp_path, videos, ["train/abseiling/aaa_000001_000011.mp4", "train/bbb_000002_000012.mp4", "val/ccc.mp4"])
    head = "label,youtube_id,time_start,time_end,split\n"
    (tmp_path / "train.csv").write_text(
        head + "abseiling,aaa,1,11,train\nzumba,bbb,2,12,train\nzumba,gone,0,10,train\n"
    )
    (tmp_path / "validate.csv").write_text(head + "zumba,ccc,0,10,val\n")
    data = Kinetics(tmp_path, clip_spec=SPEC)
    assert data.annotations("val").labels.tolist() == [1]
    with pytest.warns(UserWarning, match="1 of 3 videos"):
        assert len(data.dataset("train")) == 2
    (tmp_path / "train.csv").write_text(head + "abseiling,aaa,one,11,train\n")
    with pytest.raises(AnnotationError, match=r"train\.csv, line 2"):
        Kinetics(tmp_path, clip_spec=SPEC).annotations("train")


def test_breakfast_by_person(tmp_path, videos):
    names = ["P03/cam01/P03_tea.avi", "P16/stereo/P16_milk_ch0.avi", "P16/stereo/P16_milk_ch1.avi"]
    lay(tmp_path, videos, names)
    data = Breakfast(tmp_path, split=1, clip_spec=SPEC)
    assert [data.annotations("test").relative(i) for i in range(len(data.annotations("test")))] == names[:1]
    assert len(data.annotations("train")) == 1


def test_breakfast_official_splits(shared, tmp_path):
    """The rule gives the lists that were published, stereo cameras once."""
    named = [
        row.split(",")[0].rpartition("/")[2].removesuffix(".npy")
        for part in ("train1", "val1", "test1")
        for row in shared(f"data/splits/breakfast/{part}.csv").read_text().splitlines()[1:]
    ]
    for name in named:
        person, camera, video = name.split("_", 2)
        eyes = ("_ch0", "_ch1") if camera.startswith("stereo") else ("",)
        for eye in eyes:
            file = tmp_path / person / camera / f"{video}{eye}.avi"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
    for split in (1, 2, 3, 4):
        data = Breakfast(tmp_path, split=split, clip_spec=SPEC)
        sizes = tuple(len(data.annotations(part)) for part in ("train", "test"))
        assert sizes == Breakfast.official_counts[split]


def test_thumos14_several_labels(tmp_path, videos):
    lay(tmp_path, videos, ["validation/video_validation_0000001.mp4", "test/video_test_0000001.mp4"])
    (tmp_path / "classInd.txt").write_text("1 Archery\n2 Basketball\n3 Biking\n")
    for name in ("validation", "test"):
        (tmp_path / f"{name}_primaryclass.txt").write_text(f"video_{name}_0000001 2\n")
        (tmp_path / f"{name}_secondaryclass.txt").write_text(f"video_{name}_0000001 3\n")
    data = THUMOS14(tmp_path, clip_spec=SPEC)
    assert data.annotations("train").labels.tolist() == [1, 2], "a second label enters the video again"
    assert data.annotations("test").labels.tolist() == [[0, 1, 1]]
    assert data.dataset("test")[0]["label"].tolist() == [0, 1, 1]
    (train, _) = check_data(data, read=True, progress=iter).parts
    assert (train.listed, train.official, train.missing) == (1, 1010, 0), "videos are counted, not labels"


def test_check_reports_what_is_wrong(folder, capsys):
    from videozoo.cli import main

    assert main(["data", "check", "video_folder", str(folder)]) == 0
    (folder / "train" / "jump").mkdir(parents=True)
    for part in ("train", "test"):
        for name in ("jump", "run"):
            (folder / part / name).mkdir(parents=True, exist_ok=True)
            number = {"train": 0, "test": 1 if name == "jump" else 2}[part]  # of different contents
            shutil.copy(folder / name / f"{number}.mp4", folder / part / name / "v.mp4")
    for name in ("jump", "run"):
        shutil.rmtree(folder / name)
    capsys.readouterr()
    assert main(["data", "check", "video_folder", str(folder), "--read"]) == 0
    assert "2 classes; 0 videos are in both" in capsys.readouterr().out
    shutil.copy(folder / "train" / "run" / "v.mp4", folder / "test" / "jump" / "copy.mp4")
    assert main(["data", "check", "video_folder", str(folder), "--read"]) == 1
    said = capsys.readouterr().out
    assert "0 videos are in both training and test, 1 more are copies" in said
    assert "run/v.mp4 in training is" in said
    (folder / "test" / "jump" / "copy.mp4").unlink()
    (folder / "test" / "run" / "v.mp4").write_bytes(b"broken")
    assert main(["data", "check", "video_folder", str(folder), "--read"]) == 1
    assert "v.mp4: not a video" in capsys.readouterr().out
    assert main(["data", "check", "ucf102", str(folder)]) == 2
    assert "did you mean ucf101" in capsys.readouterr().err
    assert main(["data", "check", "ucf101", str(folder), "--set", "split=4"]) == 2
    assert "allowed are 1, 2, 3" in capsys.readouterr().err


def test_bench_data_counts_every_step(folder, capsys):
    from videozoo.cli import main

    (folder / "jump" / "0.mp4").write_bytes(b"broken")
    command = ["bench", "data", str(folder), "--frames", "4", "--size", "32", "--workers", "0"]
    command += ["--rounds", "1", "--clips", "10"]
    assert main(command) == 0
    said = capsys.readouterr()
    assert "8 videos, 0.0 MB of annotations, first batch after" in said.out.splitlines()[0]
    assert [line.split()[0] for line in said.out.splitlines()[3:8]] == [
        "open",
        "decode",
        "transform",
        "collate",
        "together",
    ]
    assert [line.split("  ")[0].strip() for line in said.out.splitlines()[-2:]] == ["frames alone", "clips"]
    assert main([*command, "--dataset", "ucf11"]) == 2
    assert main([*command, "--clips", "0"]) == 2
