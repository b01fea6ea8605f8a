"""The flow benchmark: rows, results file, training, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from videozoo.cli import main
from videozoo.cli.bench_flow_errors import split_name
from videozoo.data.flow_files import write_flo
from videozoo.data.middlebury import read_pairs
from videozoo.errors import SettingError, VideoError
from videozoo.evaluation.flow_table import flow_table
from videozoo.evaluation.reported_flow import TV_L1, TVNET
from videozoo.representations.flow_losses import end_point_error
from videozoo.representations.tvnet import TVNet
from videozoo.representations.tvnet_options import TVNetOptions
from videozoo.training.flow_training import train_on_pairs


@pytest.fixture
def pairs(tmp_path):
    """Two tiny sequences in Middlebury's layout, of different sizes, one with unknown pixels."""
    folder = tmp_path / "pairs"
    for name, height, width in (("A", 40, 48), ("B", 36, 44)):
        (folder / name).mkdir(parents=True)
        coarse = torch.rand(1, 3, 12, 14)
        texture = 255 * torch.nn.functional.interpolate(coarse, (height, width + 4), mode="bicubic")[0].clamp(0, 1)
        for file, left in (("frame10.png", 1), ("frame11.png", 0)):
            frame = texture[:, :, left : left + width].byte().permute(1, 2, 0).numpy()
            Image.fromarray(np.ascontiguousarray(frame)).save(folder / name / file)
        flow = torch.zeros(2, height, width)
        flow[0] = 1.0
        flow[:, :3] = 1.6666668e9 if name == "B" else flow[:, :3]
        write_flo(folder / name / "flow10.flo", flow)
    return folder


def test_pairs_are_read(pairs):
    first, second = read_pairs(pairs)
    assert (first.name, second.name) == ("A", "B")
    assert first.frames.shape == (2, 3, 40, 48)
    assert first.frames.dtype == torch.uint8
    assert end_point_error(torch.zeros(1, 2, 36, 44), second.target[None]).item() == pytest.approx(1.0)


def test_damaged_pairs(pairs):
    with pytest.raises(VideoError, match="no flow pairs"):
        read_pairs(pairs / "A")
    (pairs / "A" / "frame11.png").write_bytes(b"")
    with pytest.raises(VideoError, match=r"A/frame11.png: not a readable picture"):
        read_pairs(pairs)
    (pairs / "A" / "frame11.png").write_bytes((pairs / "B" / "frame11.png").read_bytes())
    with pytest.raises(VideoError, match="differ in size"):
        read_pairs(pairs)


def test_table_and_results_file(pairs, tmp_path, capsys):
    out = tmp_path / "flow.json"
    command = ["bench", "flow", str(pairs), "--train", "none", "u0", "all", "--nets", "10", "1-2-3", "--steps", "3"]
    assert main([*command, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "TVNet-10" in printed
    results = json.loads(out.read_text())
    assert "table 1" in results["reported"]
    rows = {(row["method"], row["training"]): row for row in results["rows"]}
    assert rows["zero flow", ""]["measured"] == pytest.approx(1.0)
    assert rows["TVNet-10", "none"]["reported"] == 3.47
    assert rows["TVNet-10", "all"]["reported"] == 1.24
    assert rows["TVNet-1-2-3", "u0"]["reported"] is None
    assert [rows["TVNet-10", train]["steps"] for train in ("none", "u0", "all")] == [0, 3, 3]
    assert rows["TVNet-10", "u0"]["measured"] < rows["TVNet-10", "none"]["measured"] < 1.0
    assert set(rows["TVNet-10", "none"]["pairs"]) == {"A", "B"}
    table = out.with_suffix(".md").read_text()
    measured = rows["TVNet-10", "all"]["measured"]
    assert f"| TVNet-10 | all | 3 | {measured:.3f} | 1.24 |" in table
    assert "| zero flow | - | - | 1.000 | - |" in table


def test_wrong_settings(capsys):
    assert main(["bench", "flow"]) == 2
    assert "needs the folder" in capsys.readouterr().err
    assert split_name("50") == (1, 1, 50)
    assert split_name("3-1-10") == (3, 1, 10)
    for name in ("3-1", "fifty", ""):
        with pytest.raises(SettingError, match="scales-warps-iterations"):
            split_name(name)


def test_training_keeps_the_best_and_stops_in_time():
    frame = 255 * torch.rand(1, 1, 20, 24)
    pair = (frame[..., 1:], frame[..., :-1], torch.tensor([1.0, 0.0]).view(1, 2, 1, 1).expand(1, 2, 20, 23))
    net = TVNet(1, 1, 3, options=TVNetOptions(reference_size=(20, 23)))
    errors = train_on_pairs(net, [pair, pair], steps=15, seconds=100, learning_rate=0.1)
    with torch.no_grad():
        assert end_point_error(net.flow(*pair[:2]), pair[2]).item() == pytest.approx(min(errors), rel=1e-5)
    assert min(errors) < errors[0]
    assert len(train_on_pairs(net, [pair], steps=100, seconds=0)) == 1
    plain = train_on_pairs(net, [pair], steps=2, seconds=100, optimizer="sgd")
    assert plain[1] == pytest.approx(plain[0], rel=1e-2)
    with pytest.raises(SettingError, match="nothing to train"):
        train_on_pairs(TVNet(1, 1, 1, trainable="nothing"), [pair], steps=1, seconds=1)
    with pytest.raises(SettingError, match="must be one of adam, sgd"):
        train_on_pairs(net, [pair], steps=1, seconds=1, optimizer="lbfgs")


def test_reported_figures_are_the_papers(shared):
    figures = yaml.safe_load(shared("papers/numbers.yaml").read_text())["results"]
    printed = {(row["model"], row.get("setting")): row["value"] for row in figures if row["table"] == "tvnet.1"}
    settings = {"nothing": "untrained", "u0": "u0 trained", "all": "u0 and filters trained"}
    ours = {(f"TVNet-{name}", settings[train]): TVNET[name][train] for name in TVNET for train in TVNET[name]}
    assert ours | {(f"TV-L1-{name}", None): value for name, value in TV_L1.items()} == printed


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("name", "expected"),
    [("10", 3.880), *(pytest.param(*row, marks=pytest.mark.slow) for row in (("50", 3.490), ("3-1-10", 2.455)))],
)
def test_errors_on_middlebury(shared, name, expected):
    """An implementation made for checking found 3.88, 3.49 and 2.46."""
    net = TVNet(*split_name(name), trainable="nothing")
    errors = []
    for pair in read_pairs(shared("data/middlebury")):
        with torch.inference_mode():
            flow = net.flow(*pair.frames[:, None].float())
        errors.append(end_point_error(flow, pair.target[None]).item())
    assert sum(errors) / len(errors) == pytest.approx(expected, abs=0.006)


@pytest.mark.realdata
def test_zero_flow_on_middlebury(shared, reference):
    recorded = reference("protocols/middlebury_epe.json")["pairs"]
    for pair in read_pairs(shared("data/middlebury")):
        zero = torch.zeros(1, *pair.target.shape)
        expected = recorded[pair.name]["zero_flow"]["epe"]
        assert end_point_error(zero, pair.target[None]).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_speed_table(tmp_path, capsys):
    out = tmp_path / "speed.json"
    assert main(["bench", "flow", "--speed", "--rounds", "1", "--out", str(out)]) == 0
    results = json.loads(out.read_text())
    assert results["times"][results["first"]]["ratio"] == 1
    memory = {name: list(sizes.values()) for name, sizes in results["memory_bytes"].items()}
    depths = torch.tensor([10.0, 20.0, 50.0, 100.0])
    plain = torch.tensor(memory["plain"], dtype=torch.float64)
    slopes = plain.diff() / depths.diff()
    assert slopes.max() < 1.1 * slopes.min(), "memory is not linear in iterations"
    blocks = memory["blocks of 10"]
    assert blocks[-1] - blocks[0] < 0.15 * (memory["plain"][-1] - memory["plain"][0])


def test_table_in_the_documentation_is_what_was_measured():
    record = Path(__file__).parents[1] / "docs" / "results" / "middlebury.json"
    assert flow_table(json.loads(record.read_text())) == record.with_suffix(".md").read_text()
