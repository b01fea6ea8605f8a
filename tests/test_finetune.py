"""Fine-tuning a folder in one command: what it learns, leaves behind, refuses, and how it goes on."""

import json
import os
import shutil
import signal
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import write_video

from videozoo import load_model, publish_model
from videozoo.cli import main
from videozoo.clip_spec import ClipSpec
from videozoo.data.moving_digits_files import write_digit_videos
from videozoo.errors import SettingError, VideozooError
from videozoo.finetuning.comparison import beside_guessing, beside_rival, interval
from videozoo.finetuning.curves import Curves, clock
from videozoo.finetuning.outcome import Outcome
from videozoo.finetuning.settings import FineTuning
from videozoo.finetuning.training import Device, freeze_all_but_classifier, new_model
from videozoo.finetuning.videos import open_videos, read_each
from videozoo.visualization.line_chart import Chart, line_chart
from videozoo.visualization.training_page import confusion_matrix

MODEL = "tsm_resnet10_tiny.moving_digits"
COLOURS = {"blue": (20, 40, 220), "green": (30, 200, 40), "red": (220, 30, 30)}
QUICK = ("--clip", "frames=4", "size=32", "resize=32", "--batch-size", "4", "--epochs", "3", "--device", "cpu")

pytestmark = pytest.mark.filterwarnings("ignore:.*drawn afresh", "ignore:.*isinstance.treespec")


def write_coloured(path, colour, seed):
    """A short noisy video of a colour."""
    noise = np.random.default_rng(seed).integers(-20, 20, (6, 32, 40, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, (noise + np.array(colour)).clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Six videos of each of three colours, nine of the last."""
    root = tmp_path_factory.mktemp("colours") / "My Colours"
    for number, (name, colour) in enumerate(COLOURS.items()):
        for i in range(9 if name == "red" else 5):
            write_coloured(root / name / f"{i}.mp4", colour, 100 * number + i)
    return root


def finetune(videos, out, *options):
    return main(["finetune", str(videos), "--model", MODEL, "--out", str(out), *QUICK, *options])


def test_a_folder_becomes_a_checkpoint_with_a_report(videos, tmp_path, capsys):
    out = tmp_path / "mine"
    options = ("--preset", "scratch", "--learning-rate", "0.01", "--epochs", "6", "--licence", "MIT", "--ema", "0.8")
    assert finetune(videos, out, *options) == 0
    printed, said = capsys.readouterr()
    assert "mean class accuracy" in printed
    assert "15 clips to train, 4 to validate" in said
    assert "0:00 left" in said

    model = load_model(out)
    assert model.labels == ("blue", "green", "red")
    row = model.checkpoint
    assert row.name == "tsm_resnet10_tiny.my_colours"
    assert row.origin.base_model == MODEL
    assert row.origin.training_data == "15 clips of 3 classes in My Colours"
    (measured,) = row.results
    assert (measured.n, measured.seed, measured.split) == (4, 1, "validation")
    assert measured.command == (
        f"videozoo finetune '{videos}' --model {MODEL} --preset scratch --epochs 6 --batch-size 4 --learning-rate 0.01 "
        "--ema 0.8 --clip frames=4 size=32 resize=32 --licence MIT"
    )
    assert measured.top1 == 100.0
    assert model.predict(videos / "red" / "0.mp4").label == "red"
    assert publish_model(out, "me/mine", dry_run=True).licence.weights == "MIT"

    page = (out / "report.html").read_text()
    assert page.count("<polyline") == 5
    assert "http" not in page.replace("http-equiv", "")
    assert "red taken for red: 1 of 1" in page or "red taken for red: 2 of 2" in page


@pytest.mark.parametrize(("ema", "killed"), [pytest.param((), True, marks=pytest.mark.slow), (("--ema", "0.9"), False)])
def test_interrupted_and_resumed_is_bitwise_the_uninterrupted(videos, tmp_path, monkeypatch, capsys, ema, killed):
    options = ("--from-scratch", *ema)
    assert finetune(videos, tmp_path / "whole", *options) == 0
    plain = Curves.on_train_batch_end

    def press(self, trainer, module, outputs, batch, batch_idx):
        plain(self, trainer, module, outputs, batch, batch_idx)
        if (trainer.current_epoch, batch_idx) == (1, 1):
            if killed:
                raise RuntimeError("power cut")
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Curves, "on_train_batch_end", press)
    out = tmp_path / "parts"
    if killed:
        with pytest.raises(RuntimeError, match="power cut"):
            finetune(videos, out, *options)
    else:
        assert finetune(videos, out, *options) == 130
        assert "the best epoch so far is kept; go on with: videozoo finetune" in capsys.readouterr().err
        assert load_model(out).labels == ("blue", "green", "red")
    monkeypatch.setattr(Curves, "on_train_batch_end", plain)
    assert finetune(videos, out, *options, "--seed", "2", "--resume") == 2
    assert "--resume: seed was 1 when this training began, not 2" in capsys.readouterr().err
    assert finetune(videos, out, *options, "--resume") == 0
    for _ in range(2):  # the second time nothing is left to train
        assert (out / "model.safetensors").read_bytes() == (tmp_path / "whole" / "model.safetensors").read_bytes()
        assert finetune(videos, out, *options, "--resume") == 0
    assert "nothing is left to train" in capsys.readouterr().err
    assert load_model(out).checkpoint.origin.base_model is None
    assert finetune(videos, out, *options) == 2
    assert "exists and is not empty; choose another, or go on with --resume" in capsys.readouterr().err


def test_stopped_before_the_first_epoch_ended(videos, tmp_path, monkeypatch, capsys):
    def press(self, trainer, module, outputs, batch, batch_idx):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Curves, "on_train_batch_end", press)
    assert finetune(videos, tmp_path / "out") == 130
    assert "nothing to keep yet; go on with" in capsys.readouterr().err


def bad_folder(videos, root, kind):
    shutil.copytree(videos, root)
    if kind == "one class":
        shutil.rmtree(root / "red")
        shutil.rmtree(root / "blue")
    elif kind == "empty class":
        (root / "yellow").mkdir()
    elif kind == "more classes than clips":
        for i in range(40):
            (root / f"class{i}").mkdir()
    elif kind == "unreadable":
        (root / "red" / "1.mp4").write_bytes(b"no video")
        (root / "red" / "2.mp4").write_bytes(b"no video")
    elif kind == "nothing to validate":
        for file in [file for file in root.glob("*/*.mp4") if file.stem != "0"]:
            file.unlink()


BAD = {
    "one class": "one class (green), at least two are needed",
    "empty class": "no clip of class yellow",
    "more classes than clips": "43 classes, but 19 clips",
    "unreadable": "2 of 19 videos cannot be read",
    "nothing to validate": "no clip is left for validation",
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_folders_are_one_line_before_any_training(videos, tmp_path, capsys, kind):
    bad_folder(videos, tmp_path / "bad", kind)
    assert finetune(tmp_path / "bad", tmp_path / "out") == 2
    said = [line for line in capsys.readouterr().err.splitlines() if "drawn afresh" not in line]
    assert len(said) == 1
    assert BAD[kind] in said[0]
    assert not (tmp_path / "out").exists()


def test_other_wrong_input(videos, tmp_path, capsys):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    cases = [
        (("--out", str(tmp_path / "full")), "exists and is not empty"),
        (("--resume",), "holds no training to go on with"),
        (("--preset", "best"), "must be one of papers, head, scratch"),
        (("--epochs", "0"), "--epochs 0"),
        (("--compare", str(tmp_path / "full")), "no folder that videozoo finetune has written"),
        (("--dataset", "ucf102"), "unknown data set 'ucf102'"),
        (("--set", "gamma=3"), "gamma"),
        (("--clip", "frames"), "must be NAME=VALUE"),
        (("--clip", "fram=4"), "fram"),
        (("--device", "abacus"), "--device 'abacus'"),
        (("--precision", "8"), "--precision"),
        (("--ema", "2"), "--ema 2.0"),
        (("--learning-rate", "0"), "--learning-rate"),
    ]
    for options, message in cases:
        assert finetune(videos, tmp_path / "out", *options) == 2, options
        assert message in capsys.readouterr().err
    assert main(["finetune", str(tmp_path / "nowhere"), "--model", MODEL]) == 2
    assert "nowhere: no such folder" in capsys.readouterr().err
    assert main(["finetune", str(videos), "--model", "x3d_tiny.moving_digit", "--out", str(tmp_path / "o")]) == 2
    assert "did you mean x3d_tiny.moving_digits" in capsys.readouterr().err


def test_unreadable_videos_may_be_left_out(videos, tmp_path, capsys):
    bad_folder(videos, tmp_path / "bad", "unreadable")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert finetune(tmp_path / "bad", tmp_path / "out", "--allow-unreadable", "--memory", "no") == 0
    data = open_videos(FineTuning(str(tmp_path / "bad"), MODEL), ClipSpec(4, 32, 32))
    for file in (tmp_path / "bad").glob("*/*.mp4"):
        file.write_bytes(b"no video")
    with pytest.raises(VideozooError, match="19 of 19 videos cannot be read"):
        read_each(data, lambda files: files, allow_unreadable=True)


def test_head_preset_moves_nothing_but_the_classifier(videos, tmp_path):
    assert finetune(videos, tmp_path / "out", "--preset", "head", "--balance", "yes", "--epochs", "1") == 0
    before, after = load_model(MODEL).network.state_dict(), load_model(tmp_path / "out").network.state_dict()
    moved = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert moved == {"backbone.head.classifier.weight", "backbone.head.classifier.bias"}
    model = new_model(FineTuning(str(videos), "x3d_tiny.moving_digits", preset="head"), 5)
    freeze_all_but_classifier(model)
    assert sum(p.requires_grad for p in model.parameters()) == 2


def test_rare_classes_are_drawn_more_often_where_it_matters(videos):
    def balanced(**settings):
        return open_videos(FineTuning(str(videos), MODEL, **settings), ClipSpec(4, 32, 32)).balance

    assert not balanced()
    assert balanced(balance="yes")
    assert not balanced(balance="no")
    (videos / "blue" / "0.mp4").rename(videos / "hidden")
    try:
        assert balanced()
    finally:
        (videos / "hidden").rename(videos / "blue" / "0.mp4")


def test_outcome():
    probabilities = torch.tensor([[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.5, 0.2, 0.3], [0.0, 0.1, 0.9]])
    labels = torch.tensor([0, 1, 1, 2, 2])
    outcome = Outcome("val", ("a", "b", "c"), probabilities, labels, torch.arange(5))
    assert outcome.top1 == pytest.approx(3 / 5)
    assert outcome.mean_class == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)
    assert outcome.confusion.tolist() == [[1, 0, 0], [1, 1, 0], [1, 0, 1]]
    assert outcome.confused(5) == [("b", "a", 1, 2), ("c", "a", 1, 2)]
    assert set(outcome.worst(5)) == {2, 3}
    drawing = confusion_matrix(outcome.confusion, ("a<b>", "b", "c"))
    assert "b taken for a&lt;b&gt;: 1 of 2" in drawing
    assert drawing.count("<title>") == 5


def test_what_a_figure_is_worth():
    low, high = interval(0.5, 100)
    assert (low, high) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert interval(1.0, 10)[1] == 1.0
    assert interval(0.5, 100, 3.0)[0] < low
    labels = torch.arange(100) % 4
    right = Outcome("val", ("a", "b", "c", "d"), torch.eye(4)[labels], labels, labels)
    assert beside_guessing(right).startswith("better than always the commonest class, 25.0 %")
    wrong = Outcome("val", ("a", "b", "c", "d"), torch.eye(4)[(labels + 1) % 4], labels, labels)
    assert beside_guessing(wrong).startswith("not surely better")

    some = torch.where(torch.arange(100) < 36, labels, (labels + 1) % 4)
    verdicts = [
        beside_guessing(Outcome(part, wrong.classes, torch.eye(4)[some], labels, labels)) for part in ("val", "test")
    ]
    assert verdicts[0].startswith("not surely better")  # the best of several epochs, chosen on the same clips
    assert verdicts[1].startswith("better")

    def row(top1, **changes):
        result = {"dataset": "d", "split": "test", "n": 100, "top1": top1, **changes}
        return SimpleNamespace(results=[SimpleNamespace(**result)], name="x.y", origin=SimpleNamespace(base_model=None))

    assert beside_rival(row(80.0), row(40.0)) == "better than started from random weights, 40.0 %"
    assert beside_rival(row(45.0), row(44.0)).endswith("a difference that 100 clips do not tell from chance")
    assert beside_rival(row(20.0), row(44.0)).startswith("not better than")
    with pytest.raises(SettingError, match="measured on other clips"):
        beside_rival(row(80.0), row(40.0, n=99))


def test_charts_of_one_epoch_and_of_gaps():
    assert line_chart(Chart("Loss", {"a": [1.0]})).count("<circle") == 1
    gap = line_chart(Chart("Loss & more", {"a": [1.0, float("nan"), 3.0], "b": []}))
    assert gap.count("<circle") == 2
    assert "nan" not in gap
    assert "Loss &amp; more" in gap


def test_small_parts():
    assert [clock(seconds) for seconds in (5, 65, 3700)] == ["0:05", "1:05", "1:01:40"]
    assert Device.choose("cpu") == Device("cpu", "32-true")
    settings = FineTuning("f", "m", epochs=2)
    assert settings.optimization.warmup_epochs == 0.5
    settings.check_same(json.loads(json.dumps(settings.to_dict())))
    with pytest.raises(SettingError, match="epochs was 3"):
        settings.check_same({**settings.to_dict(), "epochs": 3})


@pytest.mark.slow
def test_what_a_checkpoint_knows_is_of_use(tmp_path, capsys):
    """Few videos like those that it has seen, under another seed: the same budget without it comes to less."""
    write_digit_videos(tmp_path / "digits", 32, seed=77)
    budget = (
        "--model",
        MODEL,
        "--epochs",
        "6",
        "--batch-size",
        "4",
        "--device",
        "cpu",
        "--holdout",
        "0.5",
        "--no-flip",
    )
    top1 = {}
    for name, options in (("tuned", ()), ("scratch", ("--from-scratch", "--compare", str(tmp_path / "tuned")))):
        assert main(["finetune", str(tmp_path / "digits"), "--out", str(tmp_path / name), *budget, *options]) == 0
        top1[name] = load_model(tmp_path / name).checkpoint.results[0].top1
    assert top1["tuned"] >= 80
    assert top1["scratch"] <= 60
    said = capsys.readouterr().out
    assert "not better than started from tsm_resnet10_tiny.moving_digits" in said
    assert "better than always the commonest class, 25.0 %" in said


@pytest.mark.slow
@pytest.mark.realdata
def test_real_clips(shared, tmp_path):
    for name in ("SoccerJuggling", "ApplyEyeMakeup", "BenchPress"):
        shutil.copytree(shared(f"data/clips/ucf101/{name}"), tmp_path / "real" / name)
    for name in ("wave", "pour", "cartwheel"):
        shutil.copytree(shared(f"data/clips/hmdb51/{name}"), tmp_path / "real" / name)
    words = ["finetune", str(tmp_path / "real"), "--model", "x3d_tiny.moving_digits", "--out", str(tmp_path / "out")]
    assert main([*words, "--epochs", "2", "--batch-size", "4", "--device", "cpu"]) == 0
    model = load_model(tmp_path / "out")
    assert model.labels == ("ApplyEyeMakeup", "BenchPress", "SoccerJuggling", "cartwheel", "pour", "wave")
    assert model.predict(shared("data/clips/ucf101/Diving/v_Diving_g01_c03.avi")).label in model.labels
