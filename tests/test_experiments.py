"""Controlled experiments: what a run keeps, what a table says, and what is refused."""

import json
from pathlib import Path

import pytest
import torch

from videozoo import load_model
from videozoo.cli import main
from videozoo.errors import SettingError, UnknownNameError
from videozoo.experiments.experiment import Experiment, list_experiments, read_experiment
from videozoo.experiments.run import clip_of, kept_data
from videozoo.experiments.table import summarize, to_markdown
from videozoo.methods.create import create_model

RESULTS = Path(__file__).parents[1] / "docs" / "results"
SMALL = """
title: two networks on a few digits
data: {name: moving_digits, train_videos: 4, test_videos: 4, size: 32, relevant_epochs: 1}
epochs: 1
batch_size: 2
seeds: [1, 2]
clip: {size: 32, resize: 32}
variants:
  four frames: {arch: tsm_resnet10_tiny, clip: {frames: 4}}
  eight frames: {arch: tsm_resnet10_tiny, clip: {frames: 8}}
reported: {four frames: 90.1}
source: a paper
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """An experiment of four runs."""
    path = tmp_path / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", list_experiments())
def test_every_variant_of_an_experiment_is_a_network(name: str) -> None:
    """Hyperparameters, clips and reported figures of the YAML files belong to what exists."""
    experiment = read_experiment(name)
    assert set(experiment.reported) <= set(experiment.variants)
    for variant in experiment.variants.values():
        model = create_model(variant.arch, 6, **variant.hyperparameters)
        spec = clip_of(model.clip_spec, experiment.clip | variant.clip)
        assert (spec.views.clips, spec.views.crops) == (1, 1)
        assert spec.size == experiment.clip["size"]


def test_a_stopped_experiment_goes_on_where_it_was(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Finished runs are read, not repeated; the table has them all."""
    out = small.parent / "results"
    command = ["reproduce", str(small), "--out", str(out)]
    assert main([*command, "--only", "four frames"]) == 0
    done = out / "small" / "four_frames.seed1.json"
    kept = json.loads(done.read_text(encoding="utf-8")) | {"top1": 12.5}
    done.write_text(json.dumps(kept), encoding="utf-8")
    assert main(command) == 0
    table = capsys.readouterr().out.splitlines()[-8:]
    record = json.loads((out / "small.json").read_text(encoding="utf-8"))
    assert [(run["variant"], run["seed"]) for run in record["runs"]] == [
        ("four frames", 1), ("four frames", 2), ("eight frames", 1), ("eight frames", 2)
    ]  # fmt: skip
    assert record["runs"][0]["top1"] == 12.5
    assert record["rows"][0]["macs"] * 2 == record["rows"][1]["macs"]
    assert set(record["speed"]["clips_per_second"]) == {"four frames", "eight frames"}  # measured again, together
    assert (out / "small.md").read_text(encoding="utf-8").splitlines()[-5:] == table[-6:-1]


def test_variants_begin_with_the_same_backbone(small: Path) -> None:
    """A checkpoint of the package, whatever stands in front of the backbone."""
    small.write_text(SMALL + "start: tsm_resnet10_tiny.moving_digits\n", encoding="utf-8")
    experiment = read_experiment(str(small))
    start = experiment.start_of(experiment.variants["four frames"])
    given = load_model("tsm_resnet10_tiny.moving_digits").network.backbone.stem.state_dict()
    stem = create_model("datp_tsm_resnet10_tiny", 4, pretrained=start).network.backbone.stem.state_dict()
    torch.testing.assert_close(stem, given)


def test_clips_of_other_specs_show_the_same_videos(small: Path) -> None:
    """Videos are made once for all variants of one size; evaluation takes as many frames as the views say."""
    experiment = read_experiment(str(small))
    spec = create_model("tsm_resnet10_tiny", 4).clip_spec
    kept: dict[object, object] = {}
    few, many = (clip_of(spec, experiment.clip | {"frames": frames}) for frames in (4, 8))
    first = kept_data(experiment, few, {}, kept)  # type: ignore[arg-type]
    pixels = first.train_set[0]["clip"]
    again = kept_data(experiment, clip_of(many, {"views": {"frames": 32}}), {}, kept)  # type: ignore[arg-type]
    assert again is first
    assert pixels.shape[0] == 4
    assert again.train_set[0]["clip"].shape[0] == 8
    assert again.test_set[0]["clip"].shape[0] == 32
    with pytest.raises(SettingError, match="kept at 32 pixels"):
        again.show(clip_of(many, {"resize": 48, "size": 48}))


def test_tables_tell_measured_from_reported() -> None:
    """Mean and spread over seeds in one column, the paper's figure in another."""
    experiment = Experiment(
        title="t",
        data={"name": "arid"},  # type: ignore[arg-type]
        epochs=1,
        variants={"A": {"arch": "x"}, "B": {"arch": "y"}},  # type: ignore[dict-item]
        reported={"B": 70.0},
        source="a paper",
    )
    runs = [
        {"variant": name, "seed": seed, "top1": top1, "parameters": 1000, "macs": 2_000_000, "train_seconds": 1.0}
        for name, seed, top1 in (("A", 1, 50.0), ("A", 2, 60.0), ("B", 1, 40.0))
    ]
    rows = summarize(experiment, runs)
    assert [row["top1_mean"] for row in rows] == [55.0, 40.0]
    assert rows[0]["top1_spread"] == pytest.approx(50**0.5)
    speed = {"clips_per_second": {"A": 99.6, "B": 8.0}, "clips_at_once": 8, "machine": "m", "date": "2026-01-01"}
    table = to_markdown(experiment, rows, speed).splitlines()
    assert table[4].startswith("| A | 55.0 ± 7.1 | 2 |")
    assert table[4].endswith("| 100 | - |")
    assert table[5].startswith("| B | 40.0 | 1 |")
    assert table[5].endswith("| 8 | 70.0 |")


def test_wrong_experiments_get_one_line(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown names, fields and variants, and folders that were not given."""
    with pytest.raises(UnknownNameError, match="attention_digits"):
        read_experiment("attention_digit")
    small.write_text(SMALL.replace("\nepochs: 1", "\nepoch: 1"), encoding="utf-8")
    with pytest.raises(SettingError, match=r"small\.yaml, epochs"):
        read_experiment(str(small))
    small.write_text(SMALL + "start: tsm_resnet10_tiny\n", encoding="utf-8")
    with pytest.raises(SettingError, match=r"start: .* come with the package: .*tsm_resnet10_tiny\.moving_digits"):
        read_experiment(str(small))
    for words, said in (
        (["methods_arid", "--only", "flow"], "no variant 'flow': there are TSM"),
        (["methods_arid"], "needs --arid FOLDER"),
        (["datp_digits"], "needs --mnist FOLDER"),
    ):
        assert main(["reproduce", *words, "--out", str(small.parent / "none")]) == 2
        line = capsys.readouterr().err.strip().splitlines()[-1]
        assert said in line
    assert not (small.parent / "none").exists()


@pytest.mark.parametrize(
    "record",
    [path for name in list_experiments() if (path := RESULTS / f"{name}.json").is_file()],
    ids=lambda p: p.stem,
)
def test_tables_in_the_documentation_are_what_the_experiments_give(record: Path) -> None:
    """Each table belongs to its runs, and these to the settings as they are now."""
    experiment = read_experiment(record.stem)
    stored = json.loads(record.read_text(encoding="utf-8"))
    assert stored["experiment"] == experiment.model_dump(mode="json")
    assert sorted((run["variant"], run["seed"]) for run in stored["runs"]) == sorted(
        (name, seed) for name in experiment.variants for seed in experiment.seeds
    )
    rows = summarize(experiment, stored["runs"])
    assert rows == stored["rows"]
    assert to_markdown(experiment, rows, stored["speed"]) == record.with_suffix(".md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["methods_digits", "methods_arid"])
def test_the_readmes_tables_are_the_measured_ones(name: str) -> None:
    """README shows the tables of all methods as they were measured."""
    readme = (RESULTS.parents[1] / "README.md").read_text(encoding="utf-8")
    shown = readme.split(f"<!-- {name}:begin -->")[1].split(f"<!-- {name}:end -->")[0].strip()
    assert shown
    assert shown in (RESULTS / f"{name}.md").read_text(encoding="utf-8")
