"""Recipes: each parses, builds and runs; what is wrong in one is a line that says what is allowed."""

import json
import subprocess
import sys
from dataclasses import fields
from importlib import import_module

import pytest
import torch
import yaml
from safetensors.torch import save_file
from tiny_data import LAYOUTS

from videozoo import create_model, load_model
from videozoo.cli import main
from videozoo.cli.recipe_cli import RecipeCLI, changed_clip
from videozoo.cli.recipe_files import list_recipes, read_recipe
from videozoo.cli.recipe_names import check_fields, with_classes
from videozoo.errors import SettingError, UnknownNameError
from videozoo.training.optimization import Optimization

FILES = [name for name in list_recipes() if ":" not in name]
# One of every family and of every data set; the long tests have all.
FEW = [
    "bqn/x3d_m_ssv1",
    "dan/x3d_xs_minikinetics",
    "datp/hmdb51_flow",
    "fullvideo/breakfast",
    "mbpm/ucf101",
    "motion/flow_ssv1",
    "pbnet/thumos14_flow",
    "rnl/kinetics400",
    "tesnet/ucf101_rgb_64",
    "tsm/move4mnist",
    "tsm/ssv2",
    "tvnet/hmdb51",
]
TRAINING_ALONE = ("optimization", "pretrained")  # hyperparameters that no network is shaped by


@pytest.fixture(scope="session")
def data_sets(tmp_path_factory, videos):
    folder = tmp_path_factory.mktemp("data_sets")
    for name, layout in LAYOUTS.items():
        (folder / name).mkdir()
        layout(folder / name, videos)
    return folder


def tiny_architecture(arch):
    """The same method on a backbone that a CPU trains in no time; single frames have none as small as the others."""
    if arch in ("bn_inception", "inception_resnet_v2"):
        return "tsn_resnet18"
    for backbone in ("bn_inception", "inception_resnet_v2", "tsn_resnet34", "tsm_mobilenet_v2"):
        arch = arch.replace(backbone, "tsm_resnet10_tiny")
    head, _, tail = arch.rpartition("tsm_resnet")
    if tail[:2].isdigit():
        return f"{head}tsm_resnet10_tiny"
    head, _, tail = arch.rpartition("x3d_")
    return f"{head}x3d_tiny" if _ else arch


def tiny(name, data_sets, tmp_path):
    """What makes a recipe small: its backbone, its clips and its run; the rest stays the recipe's."""
    recipe = read_recipe(name)
    model = {"arch": tiny_architecture(recipe["model"]["arch"]), "pretrained": None}
    small = {"segments": 2, "frames": 4, "clusters": 2, "iterations": 2, "hidden": 8}
    arch = recipe["model"]["arch"]
    kept = ("tesnet",) if "placements" in recipe["model"] else ()
    if not arch.startswith(kept):
        model |= {key: value for key, value in small.items() if key in recipe["model"]}
    if "64" in name:
        model["placements"] = [["stem", 16], ["stage2_block0", 4]]
    data, kind = recipe["data"], recipe["data"]["name"]
    if kind == "moving_digits":
        given = {"videos_train": 2, "videos_val": 2, "videos_test": 2}
    else:
        kind = f"ssv{data['version']}" if kind == "something_something" else kind
        given = {"root": str(data_sets / kind), "flow_root": str(data_sets / kind / "flow")}
    transform = {"transform": {"init_args": {"short_side": [32, 40]}}} if "transform" in data else {}
    views = {"clips": 1, "crops": 3, "size": None, "resize": None, "frames": None}
    content = {
        "model": model,
        "clip": {"size": 32, "resize": 36, "views": views},
        "data": {"num_workers": 0, "batch_size": 2, **given, **transform},
        "trainer": {
            "accelerator": "cpu",
            "devices": 1,
            "max_epochs": 1,
            "max_steps": 1,
            "limit_val_batches": 1,
            "limit_test_batches": 1,
            "accumulate_grad_batches": 1,
            "num_sanity_val_steps": 0,
            "logger": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "default_root_dir": str(tmp_path),
        },
    }
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(content))
    return ["--config", name, "--config", str(file), "--start", "none"]


def train_and_test(name, data_sets, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = tiny(name, data_sets, tmp_path)
    assert main(["fit", *words]) == 0, capsys.readouterr().err
    (made,) = tmp_path.rglob("last.ckpt")
    assert torch.load(made, weights_only=True)["global_step"] == 1
    assert main(["test", *words, "--ckpt-path", str(made)]) == 0, capsys.readouterr().err
    printed = capsys.readouterr().out
    assert "test/mean_average_precision" in printed or "test/top1" in printed


@pytest.mark.parametrize("name", FEW)
def test_one_step_of_training_and_one_of_testing(name, data_sets, tmp_path, capsys, monkeypatch):
    train_and_test(name, data_sets, tmp_path, capsys, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in FILES if name not in FEW])
def test_every_recipe_trains_and_tests(name, data_sets, tmp_path, capsys, monkeypatch):
    train_and_test(name, data_sets, tmp_path, capsys, monkeypatch)


def settled(name):
    """A recipe with its classes, its fields checked, a folder given."""
    recipe = with_classes(read_recipe(name))
    if "moving_digits" not in recipe["data"]["class_path"]:
        recipe["data"]["init_args"]["root"] = "somewhere"
    check_fields(recipe)
    return recipe


def test_every_recipe_has_only_fields_that_something_reads():
    for name in list_recipes():
        recipe = settled(name)
        settings = recipe["model"]["init_args"]["optimization"]
        assert {field.name for field in fields(Optimization)} >= settings.keys()
        plan = Optimization(**settings)
        assert recipe["title"]
        assert plan.reference_batch == recipe["data"]["init_args"]["batch_size"] * recipe["trainer"].get(
            "accumulate_grad_batches", 1
        ), f"{name}: on one device a step has as many clips as the paper's"
        assert {"max_epochs", "max_steps"} & recipe["trainer"].keys()


@pytest.mark.slow
def test_every_recipe_builds_at_its_full_size():
    built = {}
    for name in list_recipes():
        recipe = settled(name)
        settings = {key: value for key, value in recipe["model"]["init_args"].items() if key not in TRAINING_ALONE}
        key = json.dumps([recipe["model"]["class_path"], settings], sort_keys=True, default=str)
        if key not in built:
            module, _, method = recipe["model"]["class_path"].rpartition(".")
            with torch.device("meta"):
                built[key] = getattr(import_module(module), method)(**settings).clip_spec
        changed_clip(built[key], recipe.get("clip", {}))


@pytest.mark.parametrize("name", ["bqn/x3d_m_kinetics400", "dan/tsm_resnet50_ssv1", "pbnet/ucf101_flow"])
def test_recipes_are_built_as_they_are(name):
    recipe = settled(name)
    recipe["data"]["init_args"] |= {"flow_root": "flow", "num_workers": 0}
    recipe["model"]["init_args"]["pretrained"] = None
    with torch.device("meta"):
        built = RecipeCLI(recipe, ["--trainer.accelerator", "cpu", "--trainer.logger", "false"])
    assert built.datamodule.clip_spec is built.model.clip_spec
    assert built.model.num_classes == recipe["model"]["init_args"]["num_classes"]
    assert built.model.optimization.groups == recipe["model"]["init_args"]["optimization"]["groups"]
    views = recipe["clip"]["views"] if "views" in recipe.get("clip", {}) else {}
    assert views.get("clips", 1) == built.datamodule.test_views.clips


def test_reported_figures_are_those_of_the_papers(shared):
    numbers = yaml.safe_load(shared("papers/numbers.yaml").read_text())["results"]
    printed = {(row["table"], row["metric"], row["value"]) for row in numbers if row["origin"] != "cited"}
    quoted = [
        (entry["table"], entry.get("metric", "top1"), entry["value"])
        for name in list_recipes()
        for entry in read_recipe(name).get("reported", [])
    ]
    assert [entry for entry in quoted if entry not in printed] == []
    assert len(quoted) > 200


def test_streams_to_fuse_are_recipes():
    known = list_recipes()
    for name in known:
        fused = read_recipe(name).get("fuse", {})
        assert set(fused) <= set(known)
        assert not fused or name in fused


def test_flow_stream_starts_from_the_mean_over_colours(data_sets, tmp_path):
    """Cross-modality initialisation: ImageNet's first convolution, its mean over RGB, once for each flow channel."""
    torch.manual_seed(0)
    rgb = create_model("tsm_resnet10_tiny", 5).network
    save_file({key: value.contiguous() for key, value in rgb.state_dict().items()}, tmp_path / "rgb.safetensors")
    recipe = settled("motion/flow_ucf101")
    recipe["model"]["init_args"] |= {"backbone": "tsm_resnet10_tiny", "pretrained": str(tmp_path / "rgb.safetensors")}
    recipe["data"]["init_args"] |= {"root": str(data_sets / "ucf101"), "flow_root": str(data_sets / "ucf101" / "flow")}
    network = RecipeCLI(recipe, ["--trainer.accelerator", "cpu", "--trainer.logger", "false"]).model.network
    first = {key: value for key, value in rgb.state_dict().items() if value.dim() == 4 and value.shape[1] == 3}
    ((name, colours),) = first.items()
    flow = network.state_dict()[name]
    assert flow.shape[1] == 10
    torch.testing.assert_close(flow, colours.mean(dim=1, keepdim=True).expand(-1, 10, -1, -1))
    fitted = rgb.state_dict().keys() - {name, "backbone.head.classifier.weight", "backbone.head.classifier.bias"}
    assert all(torch.equal(network.state_dict()[key], rgb.state_dict()[key]) for key in fitted)
    clip = torch.randn(2, 10, 2, 32, 32)  # two segments of five fields
    assert network(clip).shape == (2, 101)


def test_recipes_build_on_one_another(tmp_path):
    (tmp_path / "base.yaml").write_text("title: base\nmodel: {arch: x3d_tiny, dropout: 0.1}\ndata: {batch_size: 4}\n")
    (tmp_path / "own.yaml").write_text(
        "base: base\nmodel: {dropout: 0.2}\nreported: [{table: x.1, value: 1}]\nvariants: {deep: {model: {depth: 2}}}\n"
    )
    own = read_recipe(str(tmp_path / "own.yaml"))
    assert own["model"] == {"arch": "x3d_tiny", "dropout": 0.2}
    assert own["data"] == {"batch_size": 4}
    assert "title" not in own, "a title is its own recipe's"
    deep = read_recipe(f"{tmp_path / 'own.yaml'}:deep")
    assert deep["model"] == {"arch": "x3d_tiny", "dropout": 0.2, "depth": 2}
    assert "reported" not in deep, "a figure is its own setting's"
    with pytest.raises(UnknownNameError, match=r"unknown variant of own 'dep'.*deep"):
        read_recipe(f"{tmp_path / 'own.yaml'}:dep")
    (tmp_path / "base.yaml").write_text("base: own\n")
    with pytest.raises(SettingError, match="builds on itself"):
        read_recipe(str(tmp_path / "own.yaml"))


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ([], "--config: name a recipe"),
        (["--config", "tsm/ucf102"], "unknown recipe 'tsm/ucf102': did you mean tsm/ucf101"),
        (["--config", "tsm/ucf101"], "data.root: where the videos are, --data.root DIR"),
        (["--config", "bqn/ucf101", "--data.root", "x"], "goes on from the recipe bqn/resnet50_kinetics400"),
        (["--config", "tsm/ucf101", "--model.droput", "1"], "model: unknown field 'droput', allowed are backbone"),
        (["--config", "tsm/ucf101", "--data.batch", "1"], "data: unknown field 'batch', allowed are root, split"),
        (["--config", "tsm/ucf101", "--clip.frame=1"], "clip: unknown field 'frame', allowed are frames, size"),
        (["--config", "tsm/ucf101", "--fast", "1"], "--fast: unknown argument, allowed are --model.FIELD"),
        (["--config", "tsm/ucf101", "--data", "ucf11"], "unknown data module 'ucf11': did you mean ucf101"),
        (["--config", "tsm/ucf101", "--model", "tsm_resnet51"], "unknown architecture 'tsm_resnet51'"),
        (["--config", "tsm/ssv1", "--data.root", "x", "--model.dropout", "much"], "model.dropout much: expected float"),
        (["--config", "tsm/ssv1", "--data.root", "x", "--data.version", "3"], "data.version 3: expected [1, 2]"),
        (["--config", "{file}"], "wrong.yaml: unknown field 'modle', allowed are title, paper"),
    ],
)
def test_wrong_input_is_one_line(words, text, tmp_path, capsys):
    (tmp_path / "wrong.yaml").write_text("modle: {}\n")
    words = [word.replace("{file}", str(tmp_path / "wrong.yaml")) for word in words]
    assert main(["fit", *words]) == 2
    printed = capsys.readouterr().err.strip().splitlines()
    assert len([line for line in printed if line.startswith("videozoo:")]) == 1
    assert text in printed[-1]


def test_weights_to_start_from(data_sets, tmp_path, capsys, monkeypatch):
    """A network trained on other classes keeps its trunk; one of another architecture is refused."""
    monkeypatch.chdir(tmp_path)
    words = tiny("tsm/ucf101", data_sets, tmp_path)[:-2]
    start = "tsm_resnet10_tiny.moving_digits"
    rate_of_nothing = ["--model.optimization.learning_rate", "0.0"]
    assert main(["fit", *words, "--start", start, *rate_of_nothing]) == 0
    assert "2 of" in capsys.readouterr().err
    (made,) = tmp_path.rglob("last.ckpt")
    trained = torch.load(made, weights_only=True)["state_dict"]
    for name, value in load_model(start).network.named_parameters():
        assert name.startswith("backbone.head") or torch.equal(trained[f"network.{name}"], value)
    assert main(["fit", *words, "--start", "x3d_tiny.moving_digits"]) == 2
    assert "has no place in TSM" in capsys.readouterr().err


def test_a_run_is_kept_as_a_recipe_and_goes_on(data_sets, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [*tiny("tsm/ucf101", data_sets, tmp_path), "--trainer.logger", "true"]
    assert main(["fit", *words, "--model.dropout", "0.3", "--seed", "7"]) == 0, capsys.readouterr().err
    (kept,), (made,) = tmp_path.rglob("config.yaml"), tmp_path.rglob("last.ckpt")
    recipe = read_recipe(str(kept))
    assert recipe["model"]["init_args"]["dropout"] == 0.3
    assert recipe["seed_everything"] == 7
    more = ["--trainer.max_epochs", "2", "--trainer.max_steps", "2", "--ckpt-path", str(made)]
    assert main(["fit", "--config", str(kept), *more]) == 0, capsys.readouterr().err
    steps = [torch.load(file, weights_only=True)["global_step"] for file in tmp_path.rglob("last.ckpt")]
    assert sorted(steps) == [1, 2]
    assert main(["validate", *words, "--ckpt-path", str(made)]) == 0
    assert "val/top1" in capsys.readouterr().out


def test_scores_of_two_streams_are_fused(data_sets, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for stream in ("rgb", "flow"):
        (tmp_path / stream).mkdir()
        words = tiny(f"motion/{stream}_ucf101", data_sets, tmp_path / stream)
        assert main(["test", *words, "--scores", f"{stream}.csv"]) == 0, capsys.readouterr().err
    assert main(["fuse", "rgb.csv", "flow.csv", "--weights", "1", "1.5", "--output", "fused.csv"]) == 0
    rows = (tmp_path / "fused.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == [
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g02_c01",
        "ApplyLipstick/v_ApplyLipstick_g01_c01",
    ]


def test_list_of_recipes(capsys):
    assert main(["recipes", "pbnet/*", "--format", "json"]) == 0
    rows = {row["recipe"]: row for row in json.loads(capsys.readouterr().out)}
    flow = rows["pbnet/ucf101_flow"]
    assert flow["fuse"] == {"pbnet/ucf101_rgb": 2, "pbnet/ucf101_flow": 3}
    assert {"table": "pbnet.I", "value": 88.1, "note": "split 1"} in flow["reported"]
    assert main(["recipes", "x3d/*", "--format", "markdown"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "| recipe | setting | reported | source |"
    assert main(["recipes"]) == 0
    assert main(["recipes", "pbnet-*"]) == 2
    assert "tvnet/hmdb51:untrained" in capsys.readouterr().out


def test_listing_recipes_does_not_import_torch():
    program = "import sys; from videozoo.cli import main; main(['recipes']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], stdout=subprocess.DEVNULL).returncode == 0


def test_a_recipe_as_it_comes_to(capsys):
    assert main(["fit", "--config", "bqn/ablations_ssv1:max", "--print-config"]) == 0
    content = yaml.safe_load(capsys.readouterr().out)
    assert content["model"]["fusion"] == "max"
    assert content["data"]["version"] == 1
