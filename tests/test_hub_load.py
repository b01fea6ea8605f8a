"""Loading: verified bytes, only tensors, the head kept or drawn afresh, names that lead nowhere."""

import hashlib
import json
import pickle

import pytest
import torch
from safetensors.torch import save_file

from videozoo import create_model, load_model
from videozoo.errors import CheckpointError, ManifestError, SettingError, UnknownNameError
from videozoo.hub.build import WithoutDrawing, build_model
from videozoo.hub.cache import cache_root, checkpoint_folder, inside, upstream_file
from videozoo.hub.find import Search, find_checkpoint
from videozoo.hub.package import save_model
from videozoo.methods import METHODS
from videozoo.methods.create import takes

FACTS = {
    "dataset": "moves",
    "origin": {"kind": "trained", "author": "tests"},
    "licence": {"weights": "MIT", "stated_for_weights": True, "redistribute": True},
}
LABELS = ("up", "down", "left", "right")
CLIP = torch.linspace(-1, 1, 2 * 8 * 3 * 64 * 64).view(2, 8, 3, 64, 64)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("VIDEOZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def model():
    model = create_model("tsm_resnet10_tiny", 4).eval()
    model.labels = LABELS
    torch.nn.init.normal_(model.network.backbone.head.classifier.weight)
    return model


@pytest.fixture
def folder(model, tmp_path):
    save_model(model, tmp_path / "moves", name="tsm_resnet10_tiny.moves", **FACTS)
    return tmp_path / "moves"


def edit(folder, **fields):
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | fields))


@torch.inference_mode()
def scores(model):
    return model(CLIP)


def test_a_folder_gives_back_the_model(model, folder):
    loaded = load_model(folder)
    assert torch.equal(scores(loaded), scores(model))
    assert not loaded.training
    assert loaded.labels == LABELS
    assert loaded.clip_spec == model.clip_spec
    assert loaded.checkpoint.name == "tsm_resnet10_tiny.moves"
    assert dict(loaded.hparams) == dict(model.hparams)
    assert all(parameter.requires_grad for parameter in loaded.parameters())


def test_half_precision_becomes_float32(model, tmp_path):
    row = save_model(model, tmp_path / "half", name="tsm_resnet10_tiny.half", dtype="float16", **FACTS)
    loaded = load_model(tmp_path / "half")
    assert row.file.size < 0.6 * sum(4 * p.numel() for p in model.network.parameters())
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    torch.testing.assert_close(scores(loaded), scores(model), rtol=1e-2, atol=1e-2)


def test_another_number_of_classes_keeps_the_trunk_and_says_so(model, folder):
    with pytest.warns(UserWarning, match=r"4 classes become 7, drawn afresh: .*classifier\.bias, .*classifier\.weight"):
        loaded = load_model(folder, num_classes=7)
    assert scores(loaded).shape == (2, 7)
    assert len(loaded.labels) == 7
    assert loaded.hparams["num_classes"] == 7
    trunk = model.network.backbone.stages.state_dict()
    for key, value in loaded.network.backbone.stages.state_dict().items():
        assert torch.equal(value, trunk[key])
    fresh = loaded.network.backbone.head.classifier.weight
    assert 0 < fresh.std() < 0.01
    for wrong in (0, -3, True):
        with pytest.raises(SettingError, match="num_classes"):
            load_model(folder, num_classes=wrong)


@pytest.mark.parametrize("damage", ["cut", "changed", "longer", "empty"])
def test_damaged_weights_are_refused_with_both_hashes(damage, folder):
    weights = folder / "model.safetensors"
    known = json.loads((folder / "config.json").read_text())["files"][0]["sha256"]
    data = weights.read_bytes()
    changed = {"cut": data[:-100], "changed": data[:-1] + bytes([data[-1] ^ 1]), "longer": data + b"x", "empty": b""}
    weights.write_bytes(changed[damage])
    with pytest.raises(CheckpointError, match=rf"sha256 [0-9a-f]{{64}} and \d+ bytes, expected sha256 {known}"):
        load_model(folder)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was run",))


def test_no_pickle_is_ever_opened(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(pickle.dumps({"weight": Bomb()}))
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    edit(folder, files=[{"path": "model.safetensors", "sha256": digest, "size": weights.stat().st_size}])
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        load_model(folder)
    edit(folder, files=[{"path": "model.pth", "sha256": digest, "size": weights.stat().st_size}])
    with pytest.raises(ManifestError, match=r"must end in \.safetensors"):
        load_model(folder)


def test_weights_without_a_hash_are_not_read(folder):
    edit(folder, status="planned", files=[{"path": "model.safetensors"}])
    with pytest.raises(CheckpointError, match="no sha256"):
        load_model(folder)


@pytest.mark.parametrize("path", ["../moves/model.safetensors", "/etc/model.safetensors"])
def test_paths_that_leave_the_folder_are_refused(path, folder):
    edit(folder, files=[{"path": path, "sha256": "0" * 64, "size": 1}])
    with pytest.raises(ManifestError, match=r"config\.json, field files\.0\.path"):
        load_model(folder)


def test_tensors_that_do_not_fit_are_named(model, folder, tmp_path):
    state = model.network.state_dict()
    name = "backbone.head.classifier.weight"
    for change, text in (
        ({"extra": torch.zeros(1)}, "the network has no place for 1 tensors: extra"),
        ({name: None}, f"the file misses 1 tensors: {name}"),
        ({name: torch.zeros(3, 3)}, rf"tensor {name} is \(3, 3\)"),
        ({name: state[name].double()}, "float64"),
    ):
        changed = {key: value for key, value in (state | change).items() if value is not None}
        file = tmp_path / "changed.safetensors"
        save_file({key: value.contiguous() for key, value in changed.items()}, file)
        with pytest.raises(CheckpointError, match=text):
            build_model(load_model(folder).checkpoint, changed)


def test_hyperparameters_that_build_nothing_are_refused(folder):
    edit(folder, hyperparameters={"num_classes": 4, "dropout": "much"})
    with pytest.raises(CheckpointError, match="cannot be built with"):
        load_model(folder)
    edit(folder, hyperparameters={"num_classes": 4, "surprise": 1})
    with pytest.raises(SettingError, match="unknown hyperparameter 'surprise'"):
        load_model(folder)


def test_class_names_are_verified_too(folder):
    (folder / "labels.txt").write_text("up\ndown\nleft\n")
    with pytest.raises(CheckpointError, match="sha256"):
        load_model(folder)
    (folder / "labels.txt").unlink()
    with pytest.raises(CheckpointError, match="missing"):
        load_model(folder)


def test_names_that_lead_nowhere(folder, tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean"):
        load_model("x3d_s.fb_k40")
    with pytest.raises(CheckpointError, match="no such folder"):
        load_model("/nowhere/at/all")
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        load_model(tmp_path)
    with pytest.raises(SettingError, match="has no revision"):
        load_model(folder, revision="v1")
    with pytest.raises(SettingError, match="is in no hub repository"):
        load_model("x3d_s.fb_k400", revision="v1")
    with pytest.raises(SettingError, match="given twice"):
        load_model("a/b@v1", revision="v2")
    for name in ("../x/y", "a/b/c", "a/..", "", "~root/x"):
        with pytest.raises((CheckpointError, UnknownNameError)):
            load_model(name)
    with pytest.raises(SettingError, match="device 'nonsense'"):
        load_model(folder, device="nonsense")


def test_planned_and_offline_say_in_one_line_what_to_do():
    with pytest.raises(
        CheckpointError, match=r"convert its upstream file once: `videozoo convert x3d_s\.fb_k400`"
    ) as error:
        load_model("x3d_s.fb_k400")
    assert "no download needed for" in str(error.value)
    with pytest.raises(CheckpointError, match=r"not in the cache, and the hub is .*no download needed for") as error:
        load_model("somebody/something")
    assert "\n" not in str(error.value)


def test_a_cache_folder_of_another_checkpoint_is_not_taken(folder):
    search = Search.of(None)
    kept = checkpoint_folder(search.root, "x3d_s.fb_k400")
    kept.mkdir(parents=True)
    for file in folder.iterdir():
        (kept / file.name).write_bytes(file.read_bytes())
    with pytest.raises(CheckpointError, match=r"holds tsm_resnet10_tiny\.moves"):
        find_checkpoint("x3d_s.fb_k400", search)


def test_nothing_is_written_outside_the_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDEOZOO_CACHE", str(tmp_path / "c"))
    assert cache_root() == tmp_path / "c"
    for name in ("../x", "/x", "a/../../x", "."):
        with pytest.raises(CheckpointError, match="leads out of"):
            inside(tmp_path / "c", name)
    for path in ("../../x", "%2e%2e/%2e%2e/x.pth", "", ".hidden", "c?d=/../e", "..%2F..%2Fx"):
        file = upstream_file(tmp_path / "c", f"https://a.b/{path}")
        assert file.parents[1] == tmp_path / "c" / "files"
        assert not file.name.startswith(".")
    assert upstream_file(tmp_path, "https://a.b/x.pth") != upstream_file(tmp_path, "https://a.c/x.pth")


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_built_without_drawing_and_filled(method):
    backbone = next(name for name in ("tsm_resnet10_tiny", "x3d_tiny", "tsn_resnet18") if takes(method, name))
    drawn = METHODS[method](backbone, 3)
    with WithoutDrawing():
        empty = METHODS[method](backbone, 3)
    empty.network.load_state_dict(drawn.network.state_dict(), assign=True)
    for (name, ours), theirs in zip(empty.named_buffers(), drawn.buffers(), strict=True):
        assert torch.equal(ours, theirs), f"{name} depends on random numbers and is not saved"


@pytest.mark.filterwarnings("ignore:.*drawn afresh")
@pytest.mark.parametrize("name", ["tsm_resnet10_tiny.moving_digits", "x3d_tiny.moving_digits"])
def test_other_classes_of_the_same_number_get_a_fresh_classifier(name):
    trained, fresh = load_model(name), load_model(name, num_classes=4, fresh_classifier=True)
    state = trained.network.state_dict()
    changed = {key for key, value in fresh.network.state_dict().items() if not torch.equal(value, state[key])}
    assert changed
    assert all("classifier" in key for key in changed)
    assert fresh.labels == tuple(f"class {k}" for k in range(4))


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        ("pbnet", {"flow_lengths": (5, 10), "snippets": 2, "chosen": 1}),
        ("datp", {"flow_length": 5, "segments": 2, "grid": 4}),
        ("tesnet", {"modality": "flow"}),
        ("tesnet", {"placements": [["stem", 3], ["stage1_block0", 1]]}),
        ("dan", {"segments": 2, "joint": "constant", "joint_options": {"alpha": 0.25}}),
        ("bqn", {"segments": 2, "lateral_places": {0: [0], 3: [0]}}),
    ],
)
def test_flow_streams_and_settings_with_parts_come_back(method, settings, tmp_path):
    model = create_model(f"{method}_tsm_resnet10_tiny", 3, **settings).eval()
    model.labels = LABELS[:3]
    save_model(model, tmp_path / "mine", name=f"{method}_tsm_resnet10_tiny.mine", **FACTS)
    again = load_model(tmp_path / "mine")
    assert again.clip_spec == model.clip_spec
    clip = torch.randn(1, model.clip_spec.frames, len(model.clip_spec.mean), 32, 32)
    with torch.inference_mode():
        assert torch.equal(again(clip), model(clip))
