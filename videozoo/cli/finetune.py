"""Fine-tune a checkpoint on a folder of videos, a folder per class, and write a checkpoint of your own.

Writes DIR with weights, class names and provenance, as load_model and `videozoo publish` take it, and DIR/report.html.
Ctrl-C keeps the best epoch so far; the same command with --resume goes on to what it would have been. Example:
`videozoo finetune my_videos/ --model tsm_resnet10_tiny.moving_digits`
"""

import argparse
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videozoo.cli.data_sets import NAMES
from videozoo.cli.settings import add_setting_option, parse_setting

if TYPE_CHECKING:
    from videozoo.finetuning.run import Result

# Of the command that is written into the checkpoint: what makes it another training.
KEPT_OUT = ("folder", "model", "out", "resume", "compare", "device", "workers", "memory", "author")
PAIRS = 5  # confused classes that are printed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo finetune`."""
    parser.add_argument("folder", help="FOLDER/CLASS/video, or FOLDER/train/CLASS/video beside val/ and test/")
    parser.add_argument("--model", required=True, help="a checkpoint (`videozoo list`), a folder, or OWNER/NAME")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: finetuned/FOLDER.ARCHITECTURE")
    parser.add_argument("--compare", type=Path, metavar="DIR", help="folder of another training, for the report")
    parser.add_argument("--resume", action="store_true", help="go on with an interrupted training in DIR")
    _add_training(parser)
    data = parser.add_argument_group("videos")
    data.add_argument("--dataset", default="video_folder", help=f"what FOLDER is: {NAMES}")
    add_setting_option(data, "--set", "settings of that kind: gamma=3")
    add_setting_option(data, "--clip", "other clips: frames=8 size=96 ...")
    data.add_argument("--holdout", type=float, default=0.2, help="share kept for validation where there is no val part")
    data.add_argument("--balance", choices=("auto", "yes", "no"), default="auto", help="draw rare classes more often")
    data.add_argument("--no-flip", action="store_true", help="never mirror: where left and right are classes")
    data.add_argument("--allow-unreadable", action="store_true", help="go on without videos that cannot be read")
    machine = parser.add_argument_group("machine")
    machine.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    machine.add_argument("--precision", default="auto", help="auto, 32-true, bf16-mixed or 16-mixed")
    machine.add_argument("--workers", type=int, help="loader processes (default: none on a CPU or 4 beside a GPU)")
    machine.add_argument("--memory", choices=("auto", "yes", "no"), default="auto", help="keep decoded videos")
    owner = parser.add_argument_group("provenance")
    owner.add_argument("--author", default="unstated")
    owner.add_argument("--licence", metavar="SPDX", help="of the new weights; without one, publish privately alone")


def _add_training(parser: argparse.ArgumentParser) -> None:
    training = parser.add_argument_group("training")
    training.add_argument("--preset", help="papers (default), head or scratch")
    training.add_argument("--from-scratch", action="store_true", help="random weights, to compare with")
    training.add_argument("--epochs", type=int, default=30)
    training.add_argument("--batch-size", type=int, default=16)
    training.add_argument("--learning-rate", type=float, help="for this batch size, in the place of the preset's")
    training.add_argument("--patience", type=int, default=10, help="epochs without a better one before it ends")
    training.add_argument("--ema", type=float, nargs="?", const=0.999, metavar="DECAY", help="average the weights")
    training.add_argument("--seed", type=int, default=1)


def run(arguments: argparse.Namespace) -> int:
    """Train and print the table."""
    import logging

    from videozoo.finetuning.folder import REPORT, Owner
    from videozoo.finetuning.run import Machine, finetune
    from videozoo.finetuning.training import Device

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)  # what it says at every start
    settings = _settings(arguments)
    arch = Path(arguments.model).name.split(".")[0]
    out = arguments.out or Path("finetuned") / f"{Path(arguments.folder).resolve().name}.{arch}"
    device = Device.choose(arguments.device, arguments.precision)
    workers = arguments.workers if arguments.workers is not None else 4 * (device.accelerator == "cuda")
    command = _command(arguments)
    result = finetune(
        settings,
        out,
        Machine(device, workers, arguments.memory),
        command=command,
        owner=Owner(arguments.author, arguments.licence),
        resume=arguments.resume,
        compare=arguments.compare,
        allow_unreadable=arguments.allow_unreadable,
        progress=_progress,
        report=lambda line: print(line, file=sys.stderr, flush=True),
    )
    if result is not None:
        _print(result)
        print(f"\n{out}: load_model({str(out)!r}), videozoo publish {out} --repo-id OWNER/NAME; see {out / REPORT}")
    if result is None or result.stopped:
        best = "nothing to keep yet" if result is None else "the best epoch so far is kept"
        go_on = f"{command} --out {shlex.quote(str(out))} --resume"
        print(f"videozoo: stopped, {best}; go on with: {go_on}", file=sys.stderr)
        return 130
    return 0


def _settings(arguments: argparse.Namespace) -> Any:
    from videozoo.finetuning.settings import FineTuning

    return FineTuning(
        folder=arguments.folder,
        model=arguments.model,
        dataset=arguments.dataset,
        dataset_settings=dict(map(parse_setting, arguments.set)),
        clip=dict(parse_setting(text, "--clip") for text in arguments.clip),
        from_scratch=arguments.from_scratch,
        preset=arguments.preset or ("scratch" if arguments.from_scratch else "papers"),
        epochs=arguments.epochs,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        holdout=arguments.holdout,
        patience=arguments.patience,
        ema=arguments.ema,
        balance=arguments.balance,
        flip=not arguments.no_flip,
        seed=arguments.seed,
    )


def _command(arguments: argparse.Namespace) -> str:
    """The training again, in words: what was not left as it is by default."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    words = ["videozoo", "finetune", arguments.folder, "--model", arguments.model]
    for name, value in vars(arguments).items():
        if name not in KEPT_OUT and value != parser.get_default(name):
            values = [] if value is True else value if isinstance(value, list) else [value]
            words += [f"--{name.replace('_', '-')}", *map(str, values)]
    return shlex.join(words)


def _progress(files: Iterable[Path]) -> Iterable[Path]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    return track(list(files), description="reading", console=console, disable=not console.is_terminal)


def _print(result: "Result") -> None:
    """Top-1, mean class accuracy, and what is confused most."""
    from rich.table import Table

    from videozoo.cli.console import table_console

    outcome, measured = result.outcome, result.row.results[0]
    table = Table("", measured.split, box=None)
    table.add_row("top-1", f"{100 * outcome.top1:.1f} %")
    table.add_row("mean class accuracy", f"{100 * outcome.mean_class:.1f} %")
    table.add_row("clips", str(len(outcome.labels)))
    for truth, said, count, of in outcome.confused(PAIRS):
        table.add_row(f"{truth} taken for {said}", f"{count} of {of}")
    console = table_console()
    console.print(table)
    for text in result.worth:
        console.print(text)
