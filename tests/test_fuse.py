"""Fusion of score tables: the recorded two-stream cases, and tables that do not fit together."""

import pytest
import torch

from videozoo.cli import main
from videozoo.errors import AnnotationError, SettingError
from videozoo.inference.fuse import ScoreTable, fuse_scores, fuse_tables, read_scores, write_scores


def test_recorded_two_stream_fusion(reference):
    recorded = reference("protocols/evaluation.json")["two_stream"]
    spatial, temporal = torch.tensor(recorded["spatial_scores"]), torch.tensor(recorded["temporal_scores"])
    for case in recorded["weights"].values():
        weights = [case["spatial"], case["temporal"]]
        before = fuse_scores([spatial, temporal], weights)
        expected = torch.tensor(case["before_softmax"]).double()
        torch.testing.assert_close(before * sum(weights), expected, rtol=0, atol=1e-5)
        assert before.argmax(dim=1).tolist() == case["before_softmax_prediction"]
        after = fuse_scores([spatial, temporal], weights, "probabilities").softmax(dim=1)
        expected = torch.tensor(case["after_softmax"]).double()
        torch.testing.assert_close(after * sum(weights), expected, rtol=0, atol=1e-5)
        assert after.argmax(dim=1).tolist() == case["after_softmax_prediction"]


def test_the_two_spaces_differ():
    sure, unsure = torch.tensor([[9.0, 0.0, -9.0]]), torch.tensor([[0.0, 1.0, 2.0]])
    assert fuse_scores([sure, unsure], [1, 2]).tolist() == [[3.0, pytest.approx(2 / 3), pytest.approx(-5 / 3)]]
    mean = (sure.softmax(dim=1) + 2 * unsure.softmax(dim=1)) / 3
    fused = fuse_scores([sure, unsure], [1, 2], "probabilities")
    torch.testing.assert_close(fused.softmax(dim=1), mean.double())
    assert torch.equal(fuse_scores([sure, unsure], [1, 0]), sure.double())
    only_second = fuse_scores([sure, unsure], [0, 1], "probabilities")
    torch.testing.assert_close(only_second.softmax(dim=1), unsure.double().softmax(dim=1))


def test_scores_of_another_scale_are_fused_as_unit_vectors():
    network, machine = torch.tensor([[30.0, 40.0, 0.0]]), torch.tensor([[-0.2, 0.0, 0.1]])
    fused = fuse_scores([network, machine], [1, 1], "unit")
    torch.testing.assert_close(fused, (network / 50 + machine / machine.norm()).double() / 2)
    torch.testing.assert_close(fuse_scores([network, 7 * machine], [1, 1], "unit"), fused)
    assert fuse_scores([network, 0 * machine], [1, 1], "unit").tolist() == [[0.3, 0.4, 0.0]]


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [1.0, float("inf")], [1.0, float("nan")]])
def test_wrong_weights(weights):
    with pytest.raises(SettingError, match="weights"):
        fuse_scores([torch.zeros(1, 2), torch.zeros(1, 2)], weights)


def table(files, classes, seed=0):
    scores = torch.randn(len(files), len(classes), generator=torch.Generator().manual_seed(seed))
    return ScoreTable(tuple(files), tuple(classes), scores.double())


def test_rows_are_matched_by_file():
    first, second = table("abc", "xy"), table("cab", "xy", seed=1)
    fused = fuse_tables([first, second], [1, 1])
    assert fused.files == ("a", "b", "c")
    torch.testing.assert_close(fused.scores, (first.scores + second.scores[[1, 2, 0]]) / 2)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (table("ab", "xy"), "table 2 lacks 'c'"),
        (table("abcd", "xy"), "only table 2 has 'd'"),
        (table("abc", "yx"), "class 0 is 'x' and 'y'"),
        (table("abc", "xyz"), "2 and 3 classes"),
    ],
)
def test_tables_that_do_not_fit(second, message):
    with pytest.raises(SettingError, match=message):
        fuse_tables([table("abc", "xy"), second], [1, 1])


def test_files_round_trip(tmp_path):
    written = table(["a/b c.mp4", 'with "quotes", commas.avi'], ["1,2", "ü"])
    write_scores(written, tmp_path / "scores.csv")
    read = read_scores(tmp_path / "scores.csv")
    assert (read.files, read.classes) == (written.files, written.classes)
    assert torch.equal(read.scores, written.scores)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: must be a header"),
        ("video,x,y\n", "line 1: must be a header"),
        ("file\n", "line 1: must be a header"),
        ("file,x,y\n", "no videos"),
        ("file,x,y\na,1\n", "line 2: 2 fields, the header has 3"),
        ("file,x,y\na,1,2\na,1,2\n", "line 3: 'a' is there twice"),
        ("file,x,y\na,1,high\n", "line 2: could not convert"),
    ],
)
def test_damaged_tables(tmp_path, text, message):
    path = tmp_path / "scores.csv"
    path.write_text(text)
    with pytest.raises(AnnotationError, match=message) as caught:
        read_scores(path)
    assert str(path) in str(caught.value)
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_scores(tmp_path / "absent.csv")


def test_command(tmp_path, capsys):
    for name, first in (("rgb", "2,0"), ("flow", "0,3")):
        (tmp_path / f"{name}.csv").write_text(f"file,run,jump\nv.mp4,{first}\n")
    paths = [str(tmp_path / "rgb.csv"), str(tmp_path / "flow.csv")]
    assert main(["fuse", *paths, "--weights", "1", "2", "--output", str(tmp_path / "fused.csv")]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["v.mp4", "jump", "0.791"]
    assert read_scores(tmp_path / "fused.csv").scores.tolist() == [[pytest.approx(2 / 3), 2.0]]
    assert main(["fuse", *paths, "--weights", "3", "1"]) == 0
    assert "run" in capsys.readouterr().out.splitlines()[1]
    assert main(["fuse", *paths, "--weights", "1"]) == 2
    assert "1 weights for 2 networks" in capsys.readouterr().err
