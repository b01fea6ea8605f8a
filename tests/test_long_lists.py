"""Lists of hundreds of thousands of videos: columns of numbers and bytes, no object a line, little memory."""

import gc
import json
import tracemalloc

import pytest
import torch

from videozoo.clip_spec import ClipSpec
from videozoo.data.datamodules import Kinetics, SomethingSomething, VideoFolder
from videozoo.errors import AnnotationError

SPEC = ClipSpec(frames=4, size=32, resize=36)
MEGABYTE = 1 << 20


def columns_of(listed):
    columns = [value for value in vars(listed).values() if isinstance(value, torch.Tensor)]
    others = [value for value in vars(listed).values() if not isinstance(value, torch.Tensor)]
    return sum(column.nbytes for column in columns), others


def test_long_lists_are_columns(tmp_path):
    """What is kept of a list is a few tensors whose bytes are counted, however many lines it has."""
    lines = [f"class_{i % 7}/video_{i:06d}.mp4,class {i % 7}" for i in range(5000)]
    listed = tmp_path / "list.csv"
    listed.write_text("\n".join(["path,label", *lines]))
    kept = VideoFolder(tmp_path, train=listed, val=listed, clip_spec=SPEC).annotations("train")
    size, others = columns_of(kept)
    assert size == 5000 * (len("class_0/video_000000.mp4") + 8 + 8)
    assert others == [tmp_path, tuple(f"class {k}" for k in range(7)), None]
    assert list(kept.paths())[4999] == kept.relative(4999) == lines[4999].split(",")[0]
    assert kept.labels[:9].tolist() == [0, 1, 2, 3, 4, 5, 6, 0, 1]
    assert len(kept.missing()) == 5000


def write_list(root, kind, count):
    """A list as it is published, of so many videos; the data module that reads it."""
    if kind == "kinetics":
        rows = (f"class {i % 400},{i:011d},{i % 300},{i % 300 + 10},train" for i in range(count))
        (root / "train.csv").write_text("\n".join(["label,youtube_id,time_start,time_end,split", *rows]))
        return Kinetics(root, clip_spec=SPEC)
    if kind == "video_folder":
        rows = (f"class_{i % 400}/video_{i:08d}.mp4,class {i % 400},{i % 9},{i % 9 + 1}" for i in range(count))
        (root / "list.csv").write_text("\n".join(rows))
        return VideoFolder(root, train=root / "list.csv", clip_spec=SPEC)
    names = [f"Doing [something] number {k} to [something]" for k in range(174)]
    if kind == "something_something_v1":
        (root / "something-something-v1-labels.csv").write_text("\n".join(names))
        rows = (f"{i + 1};{names[i % 174]}" for i in range(count))
        (root / "something-something-v1-train.csv").write_text("\n".join(rows))
        return SomethingSomething(root, version=1, clip_spec=SPEC)
    numbers = {name.replace("[", "").replace("]", ""): str(k) for k, name in enumerate(names)}
    (root / "labels.json").write_text(json.dumps(numbers))
    entries = [{"id": str(i + 1), "label": "a cup", "template": names[i % 174]} for i in range(count)]
    (root / "something-something-v2-train.json").write_text(json.dumps(entries))
    return SomethingSomething(root, version=2, clip_spec=SPEC)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["video_folder", "kinetics", "something_something_v1", "something_something_v2"])
def test_memory_of_a_long_list(tmp_path, kind):
    data = write_list(tmp_path, kind, 240_000)
    gc.collect()
    tracemalloc.start()
    try:
        listed = data.annotations("train")
        missing = len(listed.missing())
        gc.collect()
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    size, _ = columns_of(listed)
    assert missing == len(listed) == (192_000 if kind == "video_folder" else 240_000)
    assert peak < 200 * MEGABYTE
    assert kept < size * 240_000 / len(listed) + 4 * MEGABYTE, "an object a line would be at least 12 megabytes"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("labels.json", '{"Doing": "one"}', "expected a number for every class"),
        ("labels.json", "[]", "expected a JSON dict"),
        ("something-something-v2-train.json", '{"id": "1", "template": "Doing"}', "expected a JSON list"),
        ("something-something-v2-train.json", '["1"]', "expected a JSON list of objects"),
        ("something-something-v2-train.json", '[{"id": "1", "template": "Dong"}]', "did you mean 'Doing'"),
    ],
)
def test_wrong_json_names_the_file(tmp_path, name, text, message):
    (tmp_path / "labels.json").write_text('{"Doing": "0"}')
    (tmp_path / name).write_text(text)
    with pytest.raises(AnnotationError, match=message) as error:
        SomethingSomething(tmp_path, version=2, clip_spec=SPEC).annotations("train")
    assert name in str(error.value)


def test_lists_with_blank_lines_and_odd_headers(tmp_path):
    listed = tmp_path / "list.tsv"
    listed.write_bytes("\ufeffLabel\tstart\tPath\tend\r\nb\t1\ta b.mp4\t2\r\n\r\na\t\tc.mp4\t\r\n".encode())
    kept = VideoFolder(tmp_path, train=listed, val=listed, clip_spec=SPEC).annotations("train")
    assert list(kept.paths()) == ["a b.mp4", "c.mp4"]
    assert kept.labels.tolist() == [1, 0]
    assert kept.spans.tolist() == [[1, 2], [0, float("inf")]]
    (tmp_path / "train.csv").write_text("youtube_id,time_end,time_start,label\n\nx,12.0,2,b\n")
    kinetics = Kinetics(tmp_path, clip_spec=SPEC).annotations("train")
    assert list(kinetics.paths()) == ["x_000002_000012.mp4"]
    (tmp_path / "train.csv").write_text("id,label\nx,b\n")
    with pytest.raises(AnnotationError, match=r"train\.csv, line 2: expected label,youtube_id"):
        Kinetics(tmp_path, clip_spec=SPEC).annotations("train")
    (tmp_path / "list.csv").write_bytes(b"a" * 200_000)
    with pytest.raises(AnnotationError, match=r"list\.csv, line 1: not a row of a list"):
        VideoFolder(tmp_path, train=tmp_path / "list.csv", clip_spec=SPEC).annotations("train")


def test_hidden_folders_are_no_classes(tmp_path):
    for name in ("run/a.mp4", "run/deep/b.MP4", "run/notes.txt", ".cache/x.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    data = VideoFolder(tmp_path, clip_spec=SPEC, holdout=0)
    assert list(data.annotations("train").paths()) == ["run/a.mp4", "run/deep/b.MP4"]
    assert data.classes == ("run",)
