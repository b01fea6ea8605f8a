"""Upstream files become folders that load_model reads, and answer as they did upstream."""

import argparse
import json
from dataclasses import replace

import pytest
import torch
from local_hub import LocalHub
from recorded import assert_close, beside, stored
from safetensors.torch import save_file

from videozoo import create_model, load_model
from videozoo.cli import main
from videozoo.errors import CheckpointError, SettingError, UnknownNameError
from videozoo.hub import manifest
from videozoo.hub.class_names import packaged_labels
from videozoo.hub.convert import Choices, convert
from videozoo.hub.find import Search
from videozoo.hub.manifest import read_manifest
from videozoo.hub.recognise import FAMILIES, find_fit, recognise_layout
from videozoo.hub.schema import UpstreamSource
from videozoo.hub.upstream import read_upstream
from videozoo.methods.create import list_architectures
from videozoo.training.optimization import Optimization

# How upstream wraps a state dict, and under which ending it stores it.
CONTAINERS = {
    "tsm_r50_mit": (".pth.tar", lambda s: {"epoch": 3, "state_dict": s, "best_prec1": torch.tensor(1.0)}),
    "tsm_r50_mmaction2": (".pth", lambda s: {"meta": {"mmaction_version": "1.0"}, "state_dict": s}),
    "tsn_r50_mmaction2": (".pth", lambda s: {"meta": {}, "state_dict": s}),
    "tsm_mobilenetv2_mmaction2": (".pth", lambda s: {"meta": {}, "state_dict": s}),
    "rnl_tsm_r50": (".pth.tar", lambda s: {"epoch": 3, "state_dict": s, "optimizer": {"state": {}}}),
    "bqn_tsm_r50": (".pth.tar", lambda s: {"epoch": 3, "state_dict": s}),
    "bqn_x3d_m": (".pth.tar", lambda s: {"epoch": 3, "state_dict": s}),
    "bn_inception_cadene": (".pth", dict),
    "bn_inception_tsm": (".pth", dict),
    "inception_resnet_v2_timm": (".pth", dict),
    "inception_resnet_v2_cadene": (".pth", dict),
} | {f"x3d_{size}": (".pyth", lambda s: {"model_state": s}) for size in ("xs", "s", "m", "l")}
EXPECTED = {
    "tsm_r50_mit": "tsm_resnet50",
    "tsm_r50_mmaction2": "tsm_resnet50",
    "tsn_r50_mmaction2": "tsn_resnet50",
    "tsm_mobilenetv2_mmaction2": "tsm_mobilenet_v2",
    "rnl_tsm_r50": "rnl_tsm_resnet50",
    "bqn_tsm_r50": "bqn_tsm_resnet50",
    "bqn_x3d_m": "bqn_x3d_m",
    "bn_inception_cadene": "bn_inception",
    "bn_inception_tsm": "bn_inception",
    "inception_resnet_v2_timm": "inception_resnet_v2",
    "inception_resnet_v2_cadene": "inception_resnet_v2",
}


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("VIDEOZOO_CACHE", str(tmp_path / "cache"))


def as_upstream(name, state, folder):
    ending, wrap = CONTAINERS[name]
    file = folder / f"upstream{ending}"
    torch.save(wrap(state), file)
    return file


def check(name, network, tmp_path, clips=1):
    file = as_upstream(name, network.state(), tmp_path)
    choice = ["--arch", name] if name in ("x3d_xs", "x3d_s", "x3d_m") else []
    assert main(["convert", str(file), "--to", str(tmp_path / "to"), *choice]) == 0
    model = load_model(tmp_path / "to")
    assert model.checkpoint.arch == EXPECTED.get(name, name)
    with torch.inference_mode():
        assert_close(model(network.clip()[:clips]), network.arrays["logits"][:clips])
    return model


def test_bn_inception_whole(tmp_path):
    check("bn_inception_tsm", stored("bn_inception_tsm"), tmp_path, clips=2)


@pytest.mark.slow
def test_tsm_of_its_authors_whole(tmp_path):
    model = check("tsm_r50_mit", stored("tsm_r50_mit"), tmp_path)
    assert model.labels[:2] == ("Approaching something with your camera", "Attaching something to something")
    assert model.checkpoint.licence.weights == "unstated"


@pytest.mark.slow
@pytest.mark.realdata
@pytest.mark.parametrize("name", ["x3d_xs", "tsn_r50_mmaction2", "tsm_mobilenetv2_mmaction2", "rnl_tsm_r50"])
def test_recorded_networks_whole(name, tmp_path, reference):
    check(name, beside(name, EXPECTED.get(name, name), reference), tmp_path)


def meta_state(name, reference):
    shapes = reference(f"networks/{name}.keys.json")
    kinds = {True: torch.int64, False: torch.float32}
    return {k: torch.empty(s, dtype=kinds[k.endswith("tracked")], device="meta") for k, s in shapes.items()}


@pytest.mark.slow
def test_layout_and_architecture_are_found_from_names_and_shapes(reference):
    for name, arch in EXPECTED.items():
        state = meta_state(name, reference)
        fit = find_fit(state, recognise_layout(state))
        assert fit.arch == arch
    assert FAMILIES.keys() >= {recognise_layout(meta_state(name, reference)) for name in EXPECTED}


def test_every_family_is_of_architectures_that_exist():
    known = set(list_architectures())
    for family in FAMILIES.values():
        assert set(family.architectures) <= known


@pytest.fixture
def x3d(tmp_path):
    """An X3D as PyTorchVideo stores it, of 400 classes and all zeros: its shapes are what counts."""
    shapes = stored("x3d_s").meta["keys"]
    kinds = {True: torch.int64, False: torch.float32}
    return {key: torch.zeros(shape, dtype=kinds[key.endswith("tracked")]) for key, shape in shapes.items()}


def test_equal_shapes_ask_for_the_architecture_in_one_line(x3d, tmp_path, capsys):
    file = as_upstream("x3d_s", x3d, tmp_path)
    assert main(["convert", str(file), "--to", str(tmp_path / "to")]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "x3d_xs, x3d_s, x3d_m" in told
    assert "--arch" in told
    assert main(["convert", str(file), "--to", str(tmp_path / "to"), "--arch", "x3d_s"]) == 0
    assert load_model(tmp_path / "to").clip_spec.frames == 13
    assert load_model(tmp_path / "to").labels[0] == "abseiling"
    assert main(["convert", str(file), "--to", str(tmp_path / "no"), "--arch", "x3d_l"]) == 2
    assert "not x3d_l" in capsys.readouterr().err
    assert not (tmp_path / "no").exists()


def test_settings_stored_beside_the_weights_tell_equal_shapes_apart(x3d, tmp_path):
    file = tmp_path / "x.pyth"
    torch.save({"model_state": x3d, "cfg": "DATA:\n  NUM_FRAMES: 16\n  SAMPLING_RATE: 5\n"}, file)
    row, _ = convert(str(file), tmp_path / "to", Choices(), Search.of(None))
    assert row.arch == "x3d_m"


def test_strictness(x3d, tmp_path):
    first = next(iter(x3d))
    for change, text in (
        ({first: None}, f"1 of its tensors are missing .*{first.split('.')[-2]}"),
        ({"blocks.9.stray": torch.zeros(1)}, "no rule for the upstream tensor 'blocks.9.stray'"),
        ({first: torch.zeros(5, 3, 1, 3, 3)}, r"is \(5, 3, 1, 3, 3\)"),
        ({first: x3d[first].double()}, "float64"),
    ):
        state = {key: value for key, value in (x3d | change).items() if value is not None}
        file = as_upstream("x3d_s", state, tmp_path)
        with pytest.raises((CheckpointError, UnknownNameError), match=text):
            convert(str(file), tmp_path / "to", Choices(arch="x3d_s", layout="pytorchvideo_x3d"), Search.of(None))
    assert not (tmp_path / "to").exists()


def test_half_precision_and_old_files_without_batch_counts(x3d, tmp_path):
    state = {key: value.half() if value.is_floating_point() else value for key, value in x3d.items()}
    state = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    file = tmp_path / "x.safetensors"
    save_file(state, file)
    row, _ = convert(str(file), tmp_path / "to", Choices(arch="x3d_s"), Search.of(None))
    assert row.file.dtype == "float32"
    assert load_model(tmp_path / "to").num_classes == 400


def test_pickles_that_need_more_are_refused_with_the_way_out(x3d, tmp_path, capsys):
    for extra in (argparse.Namespace(a=1), json.JSONDecoder, print):
        file = tmp_path / "evil.pth.tar"
        torch.save({"state_dict": {}, "args": extra}, file)
        assert main(["convert", str(file), "--to", str(tmp_path / "to")]) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        assert "could run code, and is refused" in told
        assert "weights_only=False" in told
    for content, text in ((b"no pickle", "not a file that torch can read"), (b"", "not a file that torch can read")):
        (tmp_path / "x.pth").write_bytes(content)
        with pytest.raises(CheckpointError, match=text):
            read_upstream(tmp_path / "x.pth")
    torch.save({"state_dict": {"a": 1}}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="holds no state dict of tensors"):
        read_upstream(tmp_path / "x.pth")
    torch.save({"strange.weight": torch.zeros(1)}, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=r"no known layout has names like strange\.weight"):
        convert(str(tmp_path / "x.pth"), tmp_path / "to", Choices(), Search.of(None))
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(tmp_path / "script.pt"))
    with pytest.raises(CheckpointError, match="TorchScript"):
        read_upstream(tmp_path / "script.pt")


def test_wrong_sources_and_choices(tmp_path):
    search = Search.of(None, local_files_only=True)
    for source, choices, kind, text in (
        ("/no/such.pth", Choices(), CheckpointError, "no such file"),
        ("x3d_s.fb_k400", Choices(), CheckpointError, "switched off"),
        ("x3d_s.fb_k400", Choices(row="nothing.there"), UnknownNameError, "nothing"),
    ):
        with pytest.raises(kind, match=text):
            convert(source, tmp_path / "to", choices, search)


@pytest.fixture
def planned(monkeypatch):
    """A hub with plain files, and rows of the manifest whose upstream files lie there."""
    hub = LocalHub()

    def plan(name, data, **known):
        hub.files[f"/{name}.pth"] = data
        rows = []
        for row in read_manifest().checkpoints:
            if row.name == name:
                source = row.sources[0].model_copy(update={"url": f"{hub.url}/{name}.pth"} | known)
                row = row.model_copy(update={"sources": (source,)})
            rows.append(row)
        changed = read_manifest().model_copy(update={"checkpoints": tuple(rows)})
        monkeypatch.setattr(manifest, "_own_manifest", lambda: changed)

    yield plan
    hub.stop()


def test_a_planned_checkpoint_is_fetched_converted_pinned_and_then_loads_by_name(x3d, tmp_path, planned, capsys):
    file = as_upstream("x3d_s", x3d, tmp_path)
    planned("x3d_s.fb_k400", file.read_bytes())
    with pytest.raises(CheckpointError, match=r"videozoo convert x3d_s\.fb_k400"):
        load_model("x3d_s.fb_k400")
    assert main(["convert", "x3d_s.fb_k400"]) == 0
    model = load_model("x3d_s.fb_k400")
    row = model.checkpoint
    assert row.clip_spec.views.clips == 10
    assert row.results[0].top1 == 73.33
    source = next(source for source in row.sources if isinstance(source, UpstreamSource))
    assert source.size == file.stat().st_size
    assert source.sha256 == read_upstream(file).sha256
    assert main(["cache", "list"]) == 0
    assert "checkpoint  x3d_s.fb_k400" in capsys.readouterr().out
    assert main(["cache", "verify"]) == 0
    assert main(["cache", "prune", "--upstream"]) == 0
    load_model("x3d_s.fb_k400", local_files_only=True)


def test_a_known_hash_is_checked_before_anything_is_read(x3d, tmp_path, planned):
    file = as_upstream("x3d_s", x3d, tmp_path)
    planned("x3d_s.fb_k400", file.read_bytes(), sha256_prefix="deadbeef")
    with pytest.raises(CheckpointError, match=r"expected sha256 deadbeef\.\.\."):
        convert("x3d_s.fb_k400", None, Choices(), Search.of(None))


def test_a_file_is_known_by_its_hash_alone(x3d, tmp_path, planned):
    file = as_upstream("x3d_s", x3d, tmp_path)
    planned("x3d_s.fb_k400", b"", sha256=read_upstream(file).sha256)
    row, folder = convert(str(file), None, Choices(), Search.of(None))
    assert row.name == "x3d_s.fb_k400"
    assert folder.name == "x3d_s.fb_k400"


def test_a_file_can_be_said_to_be_that_of_a_row(x3d, tmp_path):
    file = as_upstream("x3d_s", x3d, tmp_path)
    row, _ = convert(str(file), tmp_path / "to", Choices(row="x3d_m.fb_k400"), Search.of(None))
    assert (row.name, row.arch, row.status) == ("x3d_m.fb_k400", "x3d_m", "converted")
    with pytest.raises(SettingError, match="--arch x3d_s"):
        convert(str(file), tmp_path / "to", Choices(row="x3d_m.fb_k400", arch="x3d_s"), Search.of(None))
    with pytest.raises(SettingError, match="--to is missing"):
        convert(str(file), None, Choices(arch="x3d_s"), Search.of(None))


def test_classes_numbered_by_sorted_name_come_into_the_official_order(tmp_path):
    shapes = stored("tsm_r50_mit").meta["keys"]
    kinds = {True: torch.int64, False: torch.float32}
    state = {key: torch.zeros(shape, dtype=kinds[key.endswith("tracked")]) for key, shape in shapes.items()}
    state["module.new_fc.bias"] = torch.arange(174.0)
    file = as_upstream("tsm_r50_mit", state, tmp_path)
    for dataset, file_name in (("ssv1", "ssv1.txt"), (None, "ssv2.txt")):
        convert(str(file), tmp_path / "to", Choices(dataset=dataset), Search.of(None))
        model = load_model(tmp_path / "to")
        names = packaged_labels(file_name).read_text(encoding="utf-8").splitlines()
        assert list(model.labels) == names
        bias = model.network.backbone.classifier.bias.tolist()
        assert [names[bias.index(number)] for number in range(174)] == sorted(names)
    with pytest.raises(SettingError, match="--dataset hmdb51 has 51 classes, the file 174"):
        convert(str(file), tmp_path / "to", Choices(dataset="hmdb51"), Search.of(None))


def test_channels_of_the_first_convolution_are_seen(tmp_path, reference):
    state = meta_state("tsn_r50_mmaction2", reference)
    state["backbone.conv1.conv.weight"] = torch.empty(64, 10, 7, 7, device="meta")
    assert find_fit(state, "mmaction2_resnet").hyperparameters == {"num_classes": 400, "in_channels": 10}


def test_a_training_run_becomes_a_checkpoint_that_knows_where_it_came_from(tmp_path):
    import pytorch_lightning as pl

    model = create_model("tsm_resnet10_tiny", 3, dropout=0.1, optimization=Optimization(learning_rate=0.1)).eval()
    model.labels = ("a", "b", "c")
    model.clip_spec = replace(model.clip_spec, frames=16)
    model.checkpoint = read_manifest().checkpoints[0]
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    trainer.strategy.connect(model)
    trainer.save_checkpoint(tmp_path / "run.ckpt")

    assert main(["convert", str(tmp_path / "run.ckpt"), "--to", str(tmp_path / "to"), "--dataset", "moves"]) == 0
    loaded = load_model(tmp_path / "to")
    clip = torch.randn(1, 4, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(loaded(clip), model(clip))
    assert loaded.labels == model.labels
    assert loaded.clip_spec == model.clip_spec
    assert loaded.checkpoint.origin.base_model == model.checkpoint.name
    assert loaded.checkpoint.dataset == "moves"

    torch.save({"state_dict": {}}, tmp_path / "other.ckpt")
    with pytest.raises(CheckpointError, match="no checkpoint of a training run"):
        convert(str(tmp_path / "other.ckpt"), tmp_path / "no", Choices(), Search.of(None))
