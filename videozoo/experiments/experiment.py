"""What is compared: an experiment read from its YAML file in videozoo/recipes/experiments."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from videozoo.errors import SettingError, UnknownNameError

PACKAGE = Path(str(files("videozoo")))
FOLDER = PACKAGE / "recipes" / "experiments"
EMBEDDED = PACKAGE / "hub" / "embedded"


def weights_of(checkpoint: str) -> Path:
    """The file of a checkpoint that comes with the package."""
    return EMBEDDED / f"{checkpoint}.safetensors"


def _comes_with_the_package(checkpoint: str) -> str:
    if not weights_of(checkpoint).is_file():
        known = ", ".join(sorted(path.stem for path in EMBEDDED.glob("*.safetensors")))
        raise ValueError(f"{checkpoint!r} is none of the checkpoints that come with the package: {known}")
    return checkpoint


Start = Annotated[str, AfterValidator(_comes_with_the_package)]


class Strict(BaseModel):
    """Base: unknown fields are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DigitData(Strict):
    """Moving digits, made on the spot; see videozoo.data.digit_set."""

    name: Literal["moving_digits"]
    train_videos: int = 800
    test_videos: int = 400
    size: int = 64
    seed: int = 0
    relevant_epochs: int = 0  # the first epochs, which show relevant frames alone
    mnist: bool = False  # needs --mnist; else drawn digits
    backgrounds: bool = False  # needs --backgrounds; else drawn textures


class AridData(Strict):
    """ARID by its official lists; needs --arid. ``resize`` is the short side kept in memory, in pixels."""

    name: Literal["arid"]
    gamma: float = 3.0


Data = Annotated[DigitData | AridData, Field(discriminator="name")]


class Variant(Strict):
    """One row of the table: an architecture, its hyperparameters, and where its clip and its start differ."""

    arch: str
    hyperparameters: dict[str, Any] = {}
    clip: dict[str, Any] = {}
    start: Start | None = None


class Experiment(Strict):
    """Everything a run needs: the same data, budget and seeds for every variant.

    ``clip`` changes fields of every variant's ClipSpec (frames, size, resize ...). ``start`` names the checkpoint that
    comes with the package and whose backbone all variants begin with, as the papers begin with ImageNet's; without it
    they begin at random. ``reported`` quotes the paper's figures for the same rows, in percent, with ``source``.
    """

    title: str
    data: Data
    epochs: int
    batch_size: int = 16
    optimization: dict[str, Any] = {}
    clip: dict[str, Any] = {}
    start: Start | None = None
    seeds: tuple[int, ...] = (1, 2, 3)
    variants: dict[str, Variant]
    reported: dict[str, float | str] = {}
    source: str = ""

    def start_of(self, variant: Variant) -> str | None:
        """The file whose backbone a variant begins with."""
        start = variant.start or self.start
        return str(weights_of(start)) if start else None


def list_experiments() -> list[str]:
    """Names of the experiments that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_experiment(name: str) -> Experiment:
    """An experiment by its name, or by the path of a YAML file.

    Raises:
        UnknownNameError: when there is none of that name.
        SettingError: when the file breaks the schema; the text names file and field.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise UnknownNameError("experiment", name, list_experiments())
    try:
        return TypeAdapter(Experiment).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        detail = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        place = ".".join(map(str, detail["loc"]))
        raise SettingError(f"{path}, {place}: {' '.join(str(detail['msg']).split())}") from error
