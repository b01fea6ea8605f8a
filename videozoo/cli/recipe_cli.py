"""Lightning's command line for recipes: it parses and builds model, data and trainer."""

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import yaml
from jsonargparse import ArgumentError
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from torch import Tensor

from videozoo.clip_spec import ClipSpec
from videozoo.errors import CheckpointError, SettingError, VideozooError
from videozoo.hub.load import load_model
from videozoo.hub.trained import is_training_run, read_training_run
from videozoo.training.exact_resume import SeededSteps, StopBetweenSteps
from videozoo.training.recognizer import ActionRecognizer

PARTS = ("seed_everything", "model", "clip", "data", "trainer")


class RecipeCLI(LightningCLI):
    """Parse a recipe and more arguments, which win, and build ``model``, ``datamodule`` and ``trainer`` of them.

    ``clip`` changes fields of the model's ClipSpec; the data then makes the clips that the model wants, since the
    very same ClipSpec is handed over. With ``save`` the run's folder keeps what was parsed, as a recipe.

    Raises:
        SettingError: for a value of the wrong type or outside what is allowed.
    """

    def __init__(self, recipe: Mapping[str, Any], more: Sequence[str] = (), *, save: bool = False) -> None:
        settings = yaml.safe_dump({key: recipe[key] for key in PARTS if key in recipe})
        try:
            super().__init__(
                ActionRecognizer,
                pl.LightningDataModule,
                save_config_callback=SaveConfigCallback if save else None,
                save_config_kwargs={"overwrite": True},
                parser_kwargs={"exit_on_error": False},
                run=False,
                args=["--config", settings, *more],
                auto_configure_optimizers=False,
                # Hyperparameters stay those of the constructors, from which a checkpoint is built anew.
                load_from_checkpoint_support=False,
            )
        except VideozooError:
            raise
        except (ArgumentError, ValueError, MisconfigurationException) as error:  # the last two by the trainer
            raise SettingError(_one_line(str(error))) from error

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse what is given, and nothing else; the base class warns that the process has arguments, too."""
        self.config = parser.parse_args(args)

    def add_core_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Trainer, model, changes of its clip, data; all but the data's clips, which are the model's."""
        parser.add_lightning_class_args(pl.Trainer, "trainer")
        parser.add_subclass_arguments(ActionRecognizer, "model", required=True)
        parser.add_argument("--clip", type=dict[str, Any], default={})
        parser.add_subclass_arguments(pl.LightningDataModule, "data", required=True, skip={"clip_spec"})

    def before_instantiate_classes(self) -> None:
        """Build the data last, with the model's clips."""
        self.parser.add_instantiator(self._build_model, ActionRecognizer, subclasses=True)
        self.parser.add_instantiator(self._build_data, pl.LightningDataModule, subclasses=True)

    def run_stage(self, stage: str, checkpoint: str | None) -> None:
        """Fit, validate or test; a fit that is stopped between two steps goes on to the same weights.

        Raises:
            SettingError: when the trainer finds that its settings do not go together.
            TrainingStopped: when somebody asked for it.
        """
        if stage == "fit":
            seed = int(self.config.get("seed_everything") or 0)
            self.trainer.callbacks[:0] = [SeededSteps(seed), StopBetweenSteps()]  # type: ignore[attr-defined]
        try:
            getattr(self.trainer, stage)(self.model, datamodule=self.datamodule, ckpt_path=checkpoint)
        except MisconfigurationException as error:
            raise SettingError(_one_line(str(error))) from error

    def _build_model(self, kind: type[ActionRecognizer], *args: Any, **settings: Any) -> ActionRecognizer:
        model = kind(*args, **settings)
        model.clip_spec = changed_clip(model.clip_spec, self.config["clip"])
        self.clip_spec = model.clip_spec
        return model

    def _build_data(self, kind: type[pl.LightningDataModule], *args: Any, **settings: Any) -> pl.LightningDataModule:
        return kind(*args, clip_spec=self.clip_spec, **settings)


def changed_clip(spec: ClipSpec, changes: Mapping[str, Any]) -> ClipSpec:
    """A ClipSpec with some fields of its own and of its views set anew."""
    views = replace(spec.views, **changes.get("views", {}))
    changes = {key: tuple(value) if isinstance(value, list) else value for key, value in changes.items()}
    return replace(spec, **{**changes, "views": views})


def start_from(model: ActionRecognizer, start: str) -> None:
    """Copy the weights of a checkpoint (a name, a folder, or the .ckpt of a run).

    Parts that it does not have, and a classifier for other classes, stay fresh; a warning says how many.

    Raises:
        CheckpointError: when the weights are those of another network.
    """
    trained = read_training_run(Path(start))[0] if is_training_run(Path(start)) else load_model(start)
    own, taken = model.network.state_dict(), {}
    for name, value in trained.network.state_dict().items():
        if name not in own or not _fits(value, own[name], trained.num_classes, model.num_classes):
            raise CheckpointError(f"{start}: its {name} {tuple(value.shape)} has no place in {type(model).__name__}")
        if value.shape == own[name].shape:
            taken[name] = value
    model.network.load_state_dict(taken, strict=False)
    model.checkpoint = trained.checkpoint
    if len(taken) < len(own):
        warnings.warn(
            f"{start}: {len(own) - len(taken)} of {len(own)} tensors are not from it, and fresh", stacklevel=2
        )


def _fits(theirs: Tensor, own: Tensor, their_classes: int, classes: int) -> bool:
    """Whether two shapes are the same but for the number of classes."""
    sizes = zip(theirs.shape, own.shape, strict=False)
    return theirs.dim() == own.dim() and all(a == b or (a, b) == (their_classes, classes) for a, b in sizes)


def _one_line(text: str) -> str:
    """What is wrong in the parser's account of everything that it tried: the field, its value, what it may be."""
    keys = re.findall(r'Parser key "([^"]+)"', text)
    if not keys:
        return " ".join(text.split())[:400]
    lines = text[text.rindex("\n", 0, text.rindex("Parser key")) + 1 :] if len(keys) > 1 else text
    first, *rest = lines.splitlines()
    depth = len(first) - len(first.lstrip())
    told = "\n".join(takewhile(lambda line: len(line) - len(line.lstrip()) > depth, rest))  # then the level above
    expected = [
        kind for kind in re.findall(r"Expected an? (.+?)(?:\. |$)", told, re.MULTILINE) if "NoneType" not in kind
    ]
    allowed = " or ".join(re.sub(r"<class '(.+)'>|typing\.Literal", r"\1", kind) for kind in expected)
    value = re.search(r"(?:Got value|Given value): (.+)", told)
    return f"{'.'.join(keys)} {value[1] if value else ''}: expected {allowed or 'another value'}"
