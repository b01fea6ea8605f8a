"""Train, validate or test a paper's setting: `videozoo fit --config RECIPE --data.root DIR`.

RECIPE is one of `videozoo recipes`, or a YAML file. Every field can be set on the command line, where it wins:
--data.root DIR, --model.dropout 0.5, --model.optimization.learning_rate 0.01, --clip.frames 16, --trainer.devices 8.
The clips are those that the model wants. Mixed precision, accumulation, clipping, synchronised batch norm, several
devices and machines are the trainer's: --trainer.precision 16-mixed, --trainer.accumulate_grad_batches 4,
--trainer.gradient_clip_val 20, --trainer.sync_batchnorm true, --trainer.strategy ddp, --trainer.num_nodes 2.
"""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import yaml

from videozoo.cli.recipe_files import merge, read_recipe
from videozoo.errors import SettingError

SECTIONS = ("model", "clip", "data", "trainer")
PASSES_ON = True  # what the parser does not know are fields of the recipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo fit`, `validate` and `test`."""
    stage = parser.prog.split()[-1]
    parser.set_defaults(stage=stage, scores=None)
    parser.add_argument("-c", "--config", action="append", metavar="RECIPE", help="several are merged, the last wins")
    parser.add_argument("--model", metavar="ARCH", help="another architecture, with the recipe's hyperparameters")
    parser.add_argument("--data", metavar="NAME", help="another data set: ucf101, kinetics, video_folder, ...")
    parser.add_argument(
        "--start", metavar="NAME|DIR|CKPT", help="weights to start from; none: those of a fresh network"
    )
    parser.add_argument("--ckpt-path", "--ckpt_path", metavar="CKPT", help="a run: to be resumed, or to be judged")
    if stage == "test":
        parser.add_argument("--scores", metavar="CSV", help="write the scores of all test videos, for `videozoo fuse`")
    parser.add_argument("--seed", type=int, help="of weights, order and augmentation")
    parser.add_argument("--print-config", action="store_true", help="print what the recipe comes to, and stop")


def run(arguments: argparse.Namespace) -> int:
    """Build model, data and trainer of the recipe, and run the stage."""
    recipe = chosen_recipe(arguments)
    given = fields_of(arguments.passed_on)
    if arguments.print_config:
        print(yaml.safe_dump(recipe, sort_keys=False), end="")
        return 0

    from videozoo.cli.recipe_cli import RecipeCLI, start_from
    from videozoo.cli.recipe_names import check_fields, with_classes, with_weights
    from videozoo.cli.recipe_scores import write_test_scores
    from videozoo.training.exact_resume import TrainingStopped

    recipe = with_weights(with_classes(recipe), given, arguments)
    check_fields(merge(recipe, given))
    lightning = RecipeCLI(recipe, arguments.passed_on, save=arguments.stage == "fit")
    if "start" in recipe:
        start_from(lightning.model, recipe["start"])
    try:
        lightning.run_stage(arguments.stage, arguments.ckpt_path)
    except TrainingStopped as stopped:
        print(f"videozoo: stopped between two steps; go on with --ckpt-path {stopped.path}", file=sys.stderr)
    if arguments.scores:
        write_test_scores(lightning.trainer, lightning.model, lightning.datamodule, arguments.scores)
    return 130 if lightning.trainer.interrupted else 0


def chosen_recipe(arguments: argparse.Namespace) -> dict[str, Any]:
    """The recipes of the command line, merged, with what its short options set.

    Raises:
        SettingError: when there is none.
    """
    if not arguments.config:
        raise SettingError("--config: name a recipe (`videozoo recipes` lists them) or a YAML file")
    recipe: dict[str, Any] = {}
    for name in arguments.config:
        recipe = merge(recipe, read_recipe(name))
    for key, short, value in (("model", "arch", arguments.model), ("data", "name", arguments.data)):
        if value is not None:
            recipe = merge(recipe, {key: {short: value}})
    more = {"start": arguments.start, "seed_everything": arguments.seed}
    return merge(recipe, {key: value for key, value in more.items() if value is not None})


def fields_of(words: Sequence[str]) -> dict[str, Any]:
    """The fields that arguments such as `--data.root=DIR` name, as a recipe has them, their values left out.

    Raises:
        SettingError: for an argument that names no field.
    """
    fields: dict[str, Any] = {}
    for word in words:
        if not word.startswith("--"):
            continue
        section, *names = word[2:].partition("=")[0].rstrip("+").split(".")
        names = [name for name in names if name != "init_args"]
        if section not in SECTIONS or not names:
            sections = ", ".join(f"--{name}.FIELD" for name in SECTIONS)
            raise SettingError(f"{word}: unknown argument, allowed are {sections} and those of --help")
        nested: dict[str, Any] = {}
        for name in reversed(names):
            nested = {name: nested}
        fields = merge(fields, {section: {"init_args": nested} if section in ("model", "data") else nested})
    return fields
