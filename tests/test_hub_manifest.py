"""The manifest: rows are complete, tables are made from it, and what is wrong is refused in one line."""

import copy
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from videozoo import list_models, model_info
from videozoo.cli import main
from videozoo.clip_spec import ClipSpec
from videozoo.errors import ManifestError, SettingError, UnknownNameError
from videozoo.hub.class_names import packaged_labels, read_labels
from videozoo.hub.manifest import manifest_path, read_manifest, read_row, select_rows
from videozoo.hub.row_text import row_as_yaml
from videozoo.hub.schema import UpstreamSource
from videozoo.hub.tables import markdown_table

ROWS = read_manifest().checkpoints
README = Path(__file__).parents[1] / "README.md"

ROW = {
    "name": "x3d_tiny.some",
    "status": "planned",
    "arch": "x3d_tiny",
    "method": "x3d",
    "hyperparameters": {"num_classes": 4, "dropout": None},
    "dataset": "moves",
    "clip_spec": {"frames": 8, "size": 64, "resize": 64, "mean": [0.5, 0.5, 0.5], "std": [1, 1, 1]},
    "files": [{"path": "model.safetensors"}],
    "sources": [{"type": "hub", "repo_id": "a/b", "revision": "0" * 40}],
    "origin": {"kind": "trained", "author": "tests"},
    "licence": {"weights": "MIT", "stated_for_weights": True, "redistribute": True},
    "labels": {"set": "moves", "num_classes": 4, "file": "moves.txt", "sha256": "0" * 64},
    "results": [
        {
            "kind": "reported",
            "dataset": "moves",
            "split": "val",
            "top1": 3,
            "protocol": {},
            "by": "x",
            "source": "https://a.b",
        }
    ],
    "paper": {"title": "A paper", "url": "https://a.b"},
}


def write(folder, *rows, **top):
    path = folder / "manifest.yaml"
    path.write_text(yaml.safe_dump({"schema": 1, "checkpoints": list(rows)} | top), encoding="utf-8")
    return path


def mirrored(name):
    return re.sub(r"\b(left|right)\b", lambda match: "right" if match[1] == "left" else "left", name)


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_row_keeps_its_word(row):
    if row.labels:
        assert len(read_labels(packaged_labels(row.labels.file), row.labels)) == row.num_classes
    for source in row.sources:
        if isinstance(source, UpstreamSource) and source.sha256_prefix:
            assert re.search(rf"[-_]{source.sha256_prefix}\.pth$", source.url)
    assert row.cost is not None
    for pair in row.labels.flip_pairs if row.labels else ():
        names = read_labels(packaged_labels(row.labels.file), row.labels)
        assert mirrored(names[pair[0]]) == names[pair[1]]
    if row.clip_spec.modality == "flow":
        assert row.hyperparameters["in_channels"] == 2 * row.clip_spec.frames_per_segment
    assert yaml.safe_load(row_as_yaml(row)) == [row.to_dict()]


def test_every_row_is_of_an_architecture_that_exists():
    from videozoo.hub.layouts import LAYOUTS
    from videozoo.methods.create import parse_architecture

    for row in ROWS:
        assert parse_architecture(row.arch)[0] == row.method
        for source in row.sources:
            if isinstance(source, UpstreamSource):
                assert source.layout in LAYOUTS


def test_flip_pairs_and_orders_are_those_of_the_official_lists(reference):
    known = reference("protocols/labels_and_flips.json")
    for name, ours in (("something_something_v1", "ssv1"), ("something_something_v2", "ssv2")):
        row = next(row for row in ROWS if row.dataset == ours)
        assert [list(pair) for pair in row.labels.flip_pairs] == known[name]["swap"]
    names = packaged_labels("ssv1.txt").read_text(encoding="utf-8").splitlines()
    order = known["something_something_v1_sorted"]["index_in_csv_order"]
    assert [names[place] for place in order] == sorted(names)


def test_readme_shows_the_table_of_the_manifest():
    after = README.read_text(encoding="utf-8").split("<!-- checkpoints:begin -->\n")[1]
    shown = after.split("<!-- checkpoints:end -->")[0]
    assert shown.strip() == markdown_table(select_rows(read_manifest())).strip(), (
        "stale: put the output of `videozoo list --format markdown` between the markers"
    )


def test_lists_by_pattern_data_method_and_status():
    assert "x3d_s.fb_k400" in list_models("x3d*")
    assert all(name.startswith("x3d") for name in list_models("x3d*"))
    assert set(list_models(dataset="ucf101")) == {row.name for row in ROWS if row.dataset == "ucf101"}
    assert set(list_models(method="tsn")) < set(list_models())
    assert "tsm_resnet50" in list_models("tsm*", pretrained=False)
    for wrong in ({"dataset": "ucf102"}, {"method": "tsx"}, {"status": "done"}):
        with pytest.raises(SettingError, match="allowed are"):
            list_models(**wrong)
    with pytest.raises(UnknownNameError, match=r"did you mean .*x3d_s\.fb_k400"):
        model_info("x3d_s.fb_k40")
    assert model_info("x3d_s.fb_k400").clip_spec.views.clips == 10


def test_list_and_info_print_every_format(capsys):
    for form in ("table", "markdown", "json", "names"):
        assert main(["list", "x3d_s*", "--format", form]) == 0
        assert "x3d_s.fb_k400" in capsys.readouterr().out
    for form in ("text", "json", "yaml"):
        assert main(["info", "x3d_s.fb_k400", "--format", form]) == 0
        assert "73.33" in capsys.readouterr().out
    assert main(["list", "y3d*"]) == 2


def test_listing_needs_no_torch():
    program = "import sys, videozoo.cli; videozoo.cli.main(['list', 'x3d*']); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_a_good_row_is_read_and_survives_the_way_to_json_and_back(tmp_path):
    row = read_manifest(write(tmp_path, ROW)).checkpoints[0]
    assert row.clip_spec == ClipSpec(8, 64, 64, mean=(0.5, 0.5, 0.5), std=(1.0, 1.0, 1.0))
    (tmp_path / "config.json").write_text(json.dumps(row.to_dict()))
    assert read_row(tmp_path / "config.json") == row


WRONG = [
    (("files", 0, "path"), "../../model.safetensors", "files.0.path: must be a relative path that stays"),
    (("files", 0, "path"), "/etc/model.safetensors", "files.0.path: must be a relative path that stays"),
    (("files", 0, "path"), "a/../b.safetensors", "files.0.path: must be a relative path that stays"),
    (("files", 0, "path"), "C:\\model.safetensors", "files.0.path: must be a relative path that stays"),
    (("files", 0, "path"), "model.pth", r"files.0.path: must end in \.safetensors"),
    (("files", 0, "size"), 10**20, "files.0.size: Input should be less than"),
    (("files", 0, "size"), "12", "files.0.size: Input should be a valid integer, found '12'"),
    (("files", 0, "sha256"), "abc", "files.0.sha256"),
    (("labels", "file"), "../labels.txt", "labels.file"),
    (("labels", "num_classes"), 5, "labels.num_classes 5 differs from 4"),
    (("sources", 0, "repo_id"), "../x", "sources.0.hub.repo_id"),
    (("sources", 0, "repo_id"), "a/..", "sources.0.hub.repo_id"),
    (("sources", 0, "revision"), "main", "sources.0.hub.revision"),
    (("sources", 0, "type"), "pickle", "sources.0"),
    (("sources", 0), {"type": "url", "url": "file:///etc/passwd"}, "sources.0.url.url: must be an https"),
    (("sources", 0), {"type": "upstream", "url": "http://a.b/c", "layout": "tsm_mit"}, "sources.0.upstream: must be"),
    (("sources", 0), {"type": "package", "path": "../secret"}, "sources.0.package.path"),
    (("clip_spec", "frame"), 3, "clip_spec.frame"),
    (("clip_spec", "frames"), 10**9, "clip_spec.frames 1000000000 must be between"),
    (("clip_spec", "size"), 10**9, "clip_spec: size 1000000000"),
    (("clip_spec", "views"), {"crops": 2}, "clip_spec.views.crops"),
    (("clip_spec", "std"), [1, 1, 0], "std and fps above 0"),
    (("hyperparameters", "pretrained"), "/etc/passwd.safetensors", "pretrained must be left out"),
    (("hyperparameters", "num_classes"), 10**9, "num_classes"),
    (("hyperparameters", "nested"), {"a": {"b": 1}}, "hyperparameters.nested"),
    (("results", 0, "top1"), float("nan"), "top1: Input should be a finite number"),
    (("results", 0, "top1"), 173, "top1"),
    (("results", 0, "kind"), "guessed", "results.0"),
    (("results", 0, "protocol"), None, "results.0.reported.protocol"),
    (("results", 0, "protocol"), {"crops": 3}, "clip_spec.views must be the protocol of the first result"),
    (("status",), "released", "status 'released' needs sha256 and size"),
    (("status",), "withdrawn", "reason"),
    (("name",), "x3d_s.some", "must start with the architecture"),
    (("name",), "../x", "name"),
    (("licence",), None, "licence"),
    (("surprise",), 1, "surprise: Extra inputs"),
]  # fmt: skip


@pytest.mark.parametrize(("where", "value", "text"), WRONG, ids=[text for _, _, text in WRONG])
def test_wrong_row_is_refused_with_file_row_and_field(where, value, text, tmp_path):
    row = copy.deepcopy(ROW)
    part = row
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = value
    path = write(tmp_path, copy.deepcopy(ROW) | {"name": "x3d_tiny.first"}, row)
    with pytest.raises(ManifestError, match=text) as error:
        read_manifest(path)
    assert str(error.value).startswith(f"{path}, row 2 (")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: &x [1]\nb: *x\n", "line 1: anchors and aliases"),
        ("a: &x {b: *x}\n", "line 1: anchors and aliases"),
        ("a: !!python/object/apply:os.system ['true']", "line 1: tags"),
        ("!evil {}", "line 1: tags"),
        ("[" * 5000, "nested deeper than"),
        ("a: 1\na: 2", "repeated key 'a'"),
        ("a: [", "line"),
        ("schema: 2\ncheckpoints: []", "schema: Input should be 1"),
        ("checkpoints: []", "schema: Field required"),
        ("schema: 1\ncheckpoints: {}", "checkpoints: Input should be a valid array"),
        ("- 1", "Input should be an object"),
        ("", "Input should be an object"),
        ("\x00", "not allowed"),
        ("schema: 1\ncheckpoints: [3, a, null]", r"row 1 \(None\): Input should be an object"),
        ("a: 2024-99-99", "month"),
    ],
)
def test_hostile_yaml_is_refused_in_a_line(text, told, tmp_path):
    path = tmp_path / "manifest.yaml"
    path.write_text(text)
    with pytest.raises(ManifestError, match=told) as error:
        read_manifest(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_huge_and_unreadable_files_are_refused(tmp_path):
    path = tmp_path / "manifest.yaml"
    path.write_bytes(b"# " + b"x" * (5 << 20))
    with pytest.raises(ManifestError, match="larger than"):
        read_manifest(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ManifestError, match="not UTF-8"):
        read_manifest(path)
    with pytest.raises(ManifestError, match="No such file"):
        read_manifest(tmp_path / "none.yaml")
    assert main(["list", "--manifest", str(tmp_path / "none.yaml")]) == 2


def test_two_rows_of_one_name_are_refused(tmp_path):
    with pytest.raises(ManifestError, match=r"2 rows are called 'x3d_tiny\.some'"):
        read_manifest(write(tmp_path, ROW, copy.deepcopy(ROW)))


def test_manifest_is_found():
    assert manifest_path().name == "checkpoints_manifest.yaml"
    assert hashlib.sha256(manifest_path().read_bytes()).hexdigest()
    assert len({row.name for row in ROWS}) == len(ROWS) > 50


@pytest.mark.slow
def test_rows_build_the_networks_whose_cost_they_tell():
    import torch

    from videozoo.hub.build import WithoutDrawing
    from videozoo.methods.create import create_model

    counted = {}
    for row in ROWS:
        key = (row.arch, json.dumps(dict(row.hyperparameters)))
        if key not in counted:
            with torch.device("meta"), WithoutDrawing():
                model = create_model(row.arch, **row.hyperparameters)
            counted[key] = sum(parameter.numel() for parameter in model.network.parameters())
        assert row.cost.params == counted[key]
