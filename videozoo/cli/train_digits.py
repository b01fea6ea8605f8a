"""Train a network on moving digits and measure it on the test part, generated and as mp4 files.

Writes a checkpoint folder for load_model whose row holds the command and what was measured. Example:
`videozoo train-digits --arch tsm_resnet10_tiny --out digits-tsm --epochs 20 --seed 1`
"""

import argparse
import json
import shlex
import sys
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from videozoo.cli.settings import add_setting_option, parse_setting
from videozoo.clip_spec import Views
from videozoo.errors import SettingError

DATASET = "moving_digits"
DIGITS = {"title": "No frame left behind: Full Video Action Recognition", "url": "https://arxiv.org/abs/2103.15395"}
BUSY_QUIET = {
    "title": "Busy-Quiet Video Disentangling for Video Classification",
    "url": "https://arxiv.org/abs/2103.15584",
}
PAPERS: dict[str, dict[str, str] | None] = {  # of methods; the backbones alone are here for the data set's sake
    "rnl": {
        "title": "Region-based Non-local Operation for Video Classification",
        "url": "https://arxiv.org/abs/2007.09033",
    },
    "tvnet": {
        "title": "End-to-End Learning of Motion Representation for Video Understanding",
        "url": "https://arxiv.org/abs/1804.00413",
    },
    "bqn": BUSY_QUIET,
    "mbpm": BUSY_QUIET,
    **dict.fromkeys(("cpa", "dan", "tesnet", "pbnet", "datp")),  # theirs have no lasting address that we know
}
TRAINING_DATA = {True: "moving digits, drawn by this package", False: "moving digits with given digits or backgrounds"}
LICENCES = {  # by whether everything seen in training was drawn by this package
    True: {"weights": "Apache-2.0", "stated_for_weights": True, "redistribute": True},
    False: {"weights": "unstated", "stated_for_weights": False, "redistribute": False},
}

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule, Trainer

    from videozoo.data.datamodules.moving_digits import MovingDigits
    from videozoo.data.digit_set import DigitSet
    from videozoo.training.recognizer import ActionRecognizer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo train-digits`."""
    parser.add_argument("--arch", required=True, help="an architecture's name")
    add_setting_option(parser, "--set", "hyperparameters of the method")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder of the results")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--videos", type=int, default=1800, help="training videos")
    parser.add_argument("--test-videos", type=int, default=600)
    parser.add_argument("--frames", type=int, help="frames that the network sees of a video's 32; else its own number")
    parser.add_argument("--size", type=int, default=64, help="side in pixels of what the network sees")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--weight-decay", type=float, default=0.02)
    parser.add_argument("--dropout", type=float, help="before the classifier; else the architecture's own")
    parser.add_argument("--relevant-epochs", type=int, default=2, help="first epochs that show relevant frames alone")
    parser.add_argument("--mnist", metavar="DIR", help="folder with MNIST's idx files; else drawn digits")
    parser.add_argument("--backgrounds", metavar="DIR_OR_GLOB", help="videos to put behind; else drawn textures")


def run(arguments: argparse.Namespace) -> int:
    """Train, measure, write."""
    import pytorch_lightning as pl

    from videozoo.data.datamodules.moving_digits import MovingDigits
    from videozoo.data.digit_set import DigitSet
    from videozoo.hub.checkout import code_identity
    from videozoo.methods.create import create_model
    from videozoo.training.memory_format import lay_channels_last
    from videozoo.training.optimization import Optimization

    for name in ("epochs", "videos", "test_videos"):
        if getattr(arguments, name) < 1:
            raise SettingError(f"--{name.replace('_', '-')} {getattr(arguments, name)}: must be at least 1")
    pl.seed_everything(arguments.seed)
    optimization = Optimization(
        "adamw", learning_rate=arguments.learning_rate, weight_decay=arguments.weight_decay, warmup_epochs=1
    )
    settings = {"dropout": arguments.dropout} | dict(map(parse_setting, arguments.set))
    model = create_model(arguments.arch, MovingDigits.num_classes, optimization=optimization, **settings)
    model.labels = MovingDigits.labels
    spec = replace(
        model.clip_spec, frames=arguments.frames or model.clip_spec.frames, size=arguments.size, resize=arguments.size
    )
    model.clip_spec = replace(spec, sampling="uniform", views=Views())
    digits = DigitSet(arguments.seed, mnist=arguments.mnist, backgrounds=arguments.backgrounds)
    data = MovingDigits(
        model.clip_spec,
        digits,
        videos_train=arguments.videos,
        videos_val=min(arguments.videos, 200),
        videos_test=arguments.test_videos,
        batch_size=arguments.batch_size,
        relevant_epochs=arguments.relevant_epochs,
    )
    code = code_identity()  # before the training: that is the code which trains
    lay_channels_last(model.network)
    trainer = pl.Trainer(
        max_epochs=arguments.epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=sys.stderr.isatty(),
        callbacks=[pl.callbacks.LambdaCallback(on_train_epoch_end=_say_where_it_stands)],
    )
    trainer.fit(model, data)
    model.cpu().eval()
    half, generated = _round_if_harmless(model, data)
    results = {
        "read from mp4 files": _top1_on_files(model, digits, arguments.test_videos),
        "frames as generated": generated,
    }
    _save(model, arguments, results, half=half, code=code)
    print(json.dumps(results))
    return 0


def _say_where_it_stands(trainer: "Trainer", _: "LightningModule") -> None:
    """One line an epoch, for logs as for people."""
    seen = trainer.callback_metrics
    print(
        f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}: "
        f"last loss {seen['train/loss']:.3f}, validation top-1 {100 * seen['val/top1']:.1f}",
        file=sys.stderr,
    )


def _round_if_harmless(model: "ActionRecognizer", data: "MovingDigits") -> tuple[bool, float]:
    """Round the weights to half precision if no test answer less is right; whether it was done, and top-1."""
    exact = {name: value.clone() for name, value in model.network.state_dict().items()}
    before = _top1_generated(model, data)
    model.network.load_state_dict({k: v.half() if v.is_floating_point() else v for k, v in exact.items()})
    after = _top1_generated(model, data)
    if after < before:
        model.network.load_state_dict(exact)
    return after >= before, max(before, after)


def _top1_generated(model: "ActionRecognizer", data: "MovingDigits") -> float:
    """Share of right answers to the test part as generated, without a video file between."""
    import torch

    data.setup("test")
    with torch.inference_mode():
        right = [(model(batch["clip"]).argmax(dim=1) == batch["label"]).float() for batch in data.test_dataloader()]
    return torch.cat(right).mean().item()


def _top1_on_files(model: "ActionRecognizer", digits: "DigitSet", videos: int) -> float:
    """Share of right answers to the same videos written as mp4 files and read as any other file is."""
    from videozoo.data.moving_digits_files import write_digit_videos
    from videozoo.inference.predict import Prediction, predict_many

    settings = {name: value for name, value in asdict(digits).items() if name not in ("seed", "part")}
    with TemporaryDirectory() as folder:
        files = write_digit_videos(folder, videos, digits.seed, part="test", **settings)
        answers = predict_many(model, files, topk=1, views="1x1")
        right = [
            isinstance(said, Prediction) and said.label == file.parent.name
            for said, file in zip(answers, files, strict=True)
        ]
    return sum(right) / len(right)


def _save(
    model: "ActionRecognizer",
    arguments: argparse.Namespace,
    results: dict[str, float],
    *,
    half: bool,
    code: dict[str, str],
) -> None:
    """A checkpoint folder whose row says how the weights came about."""
    from videozoo.data.moving_digits import FLIP_PAIRS
    from videozoo.hub.package import save_model

    settings = vars(arguments) | {"out": arguments.out.name}
    given = {name: value if isinstance(value, list) else [value] for name, value in settings.items()}
    words = [
        word
        for name, values in given.items()
        for value in values
        if value is not None
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    measured = {
        "kind": "measured",
        "dataset": DATASET,
        "split": "test",
        "protocol": asdict(model.clip_spec.views),
        "command": shlex.join(["videozoo", "train-digits", *words]),
        "date": date.today().isoformat(),
        "n": arguments.test_videos,
        "seed": arguments.seed,
        **code,
    }
    drawn = arguments.mnist is None and arguments.backgrounds is None
    save_model(
        model,
        arguments.out,
        name=f"{arguments.arch}.{DATASET}",
        dtype="float16" if half else "float32",
        dataset=DATASET,
        origin={"kind": "trained", "author": "videozoo", "training_data": TRAINING_DATA[drawn]},
        licence=LICENCES[drawn],
        paper=PAPERS.get(arguments.arch.split("_")[0], DIGITS),
        labels={"set": DATASET, "flip_pairs": [list(pair) for pair in FLIP_PAIRS]},
        results=[{**measured, "top1": round(100 * top1, 2), "note": note} for note, top1 in results.items()],
    )
