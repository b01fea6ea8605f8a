"""What a row of the manifest says about a checkpoint, and what is allowed in it.

The same row is a checkpoint's ``config.json`` in a folder or a hub repository.
"""

import datetime
from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from videozoo.clip_spec import ClipSpec, Views
from videozoo.hub.fields import (
    Classes,
    Commit,
    Count,
    Name,
    Percent,
    RelativePath,
    RepoId,
    Scalar,
    Sha256,
    ShortCommit,
    Size,
    Text,
    Url,
    WebUrl,
    WeightPath,
    Word,
    check_url,
)

Status = Literal["planned", "converted", "released", "withdrawn"]
# Lists in lists are places with a number each, values by name the settings of a part.
Scalars = Scalar | tuple[Scalar, ...]
Hyperparameter = Scalar | tuple[Scalars, ...] | dict[Word, Scalars]


class Row(BaseModel):
    """Base: nothing unknown, nothing converted in silence, nothing changed later."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class WeightFile(Row):
    """The weights: the state dict of ``network``, as safetensors."""

    path: WeightPath = "model.safetensors"
    sha256: Sha256 | None = None
    size: Size | None = None  # bytes
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"


class PackageSource(Row):
    """A file that comes with this package, below videozoo/hub."""

    type: Literal["package"]
    path: RelativePath


class HubSource(Row):
    """A hub repository at one commit."""

    type: Literal["hub"]
    repo_id: RepoId
    revision: Commit
    tag: Text | None = None


class UrlSource(Row):
    """The weights themselves, as safetensors, under a plain url."""

    type: Literal["url"]
    url: Url


class UpstreamSource(Row):
    """A file by the authors, to be converted once; sha256, its first digits and size are that file's."""

    type: Literal["upstream"]
    url: WebUrl
    layout: Word
    sha256: Sha256 | None = None
    sha256_prefix: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8,64}$")] | None = None
    size: Size | None = None

    @model_validator(mode="after")
    def _may_be_fetched(self) -> "UpstreamSource":
        check_url(self.url, hash_is_known=self.sha256 is not None)
        return self


Source = Annotated[PackageSource | HubSource | UrlSource | UpstreamSource, Field(discriminator="type")]


class Origin(Row):
    """Who made the weights; ``base_model`` is the checkpoint that training started from."""

    kind: Literal["converted", "trained"]
    author: Text
    repo: Text | None = None
    commit: ShortCommit | None = None
    base_model: Text | None = None
    training_data: Text | None = None
    note: Text | None = None


class Licence(Row):
    """Under which terms the weights may be used; there is no default."""

    weights: Text  # an SPDX identifier, or "unstated"
    source: Url | None = None
    stated_for_weights: bool
    non_commercial: bool = False
    redistribute: bool
    data_terms: Text | None = None
    attribution: Text | None = None


class Labels(Row):
    """The class names: a text file, one a line; ``flip_pairs`` are classes that a mirror swaps."""

    set: Word
    num_classes: Classes
    file: RelativePath
    sha256: Sha256
    flip_pairs: tuple[tuple[int, int], ...] = ()


class Cost(Row):
    """Parameters, and multiply-adds of one clip of ``clip`` (frames, height, width), in 10^9."""

    params: Count
    gmacs: Annotated[float, Field(gt=0)]
    clip: tuple[Count, Count, Count]


class Figures(Row):
    """Accuracies in percent on one part of one data set under one protocol."""

    dataset: Word
    split: Text
    top1: Percent | None = None
    top5: Percent | None = None
    mean_class: Percent | None = None
    map: Percent | None = None
    protocol: Views
    note: Text | None = None

    @model_validator(mode="after")
    def _some_figure(self) -> "Figures":
        if all(figure is None for figure in (self.top1, self.top5, self.mean_class, self.map)):
            raise ValueError("no figure: one of top1, top5, mean_class, map is needed")
        return self


class Reported(Figures):
    """A figure that somebody else published."""

    kind: Literal["reported"]
    by: Text
    source: Url


class Measured(Figures):
    """A figure made with this package, and how to make it again: the commit of a checkout, or the released version."""

    kind: Literal["measured"]
    command: Text
    date: datetime.date
    n: Count
    seed: int | None = None
    commit: ShortCommit | None = None
    version: Text | None = None

    @model_validator(mode="after")
    def _code_is_known(self) -> "Measured":
        if self.commit is None and self.version is None:
            raise ValueError("the code that made the figure: commit or version is needed")
        return self


Result = Annotated[Reported | Measured, Field(discriminator="kind")]


class Paper(Row):
    """The publication that the architecture or the weights come from."""

    title: Text
    url: Url


class Checkpoint(Row):
    """One checkpoint: how to build the network, where its weights are, what they are worth, what is allowed."""

    name: Name
    status: Status
    arch: Word
    method: Word
    hyperparameters: dict[Word, Hyperparameter]
    dataset: Word
    clip_spec: ClipSpec
    files: Annotated[tuple[WeightFile, ...], Field(min_length=1, max_length=1)]
    sources: tuple[Source, ...]
    origin: Origin
    licence: Licence
    labels: Labels | None = None
    cost: Cost | None = None
    results: tuple[Result, ...]
    paper: Paper | None = None
    replaced_by: Name | None = None
    reason: Text | None = None

    @property
    def file(self) -> WeightFile:
        """The one file of weights."""
        return self.files[0]

    @property
    def num_classes(self) -> int:
        """Classes of the classifier."""
        return int(self.hyperparameters["num_classes"])  # type: ignore[arg-type]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for YAML or JSON; what is None is left out."""
        return self.model_dump(mode="json", exclude_none=True)

    @model_validator(mode="after")
    def _name_and_parts_agree(self) -> "Checkpoint":
        if self.name.split(".")[0] != self.arch:
            raise ValueError(f"name {self.name!r} must start with the architecture {self.arch!r}")
        classes = self.hyperparameters.get("num_classes")
        if type(classes) is not int or not 1 <= classes <= 10**6:
            raise ValueError(f"hyperparameters.num_classes {classes!r} must be a whole number of at least 1")
        if self.hyperparameters.get("pretrained") is not None:
            raise ValueError("hyperparameters.pretrained must be left out: the weights are those of the checkpoint")
        if self.labels and self.labels.num_classes != classes:
            raise ValueError(f"labels.num_classes {self.labels.num_classes} differs from {classes}")
        if self.results and self.clip_spec.views != self.results[0].protocol:
            raise ValueError("clip_spec.views must be the protocol of the first result")
        return self

    @model_validator(mode="after")
    def _sane_sizes(self) -> "Checkpoint":
        spec = self.clip_spec
        for field, value, limit in (
            ("frames", spec.frames, 10_000),
            ("stride", spec.stride, 10_000),
            ("resize", spec.resize, 8192),
            ("views.clips", spec.views.clips, 1000),
            ("views.resize", spec.views.resize or 1, 8192),
            ("views.frames", spec.views.frames or 1, 10_000),
        ):
            if not 1 <= value <= limit:
                raise ValueError(f"clip_spec.{field} {value} must be between 1 and {limit}")
        if not spec.mean or len(spec.mean) != len(spec.std) or min(spec.std) <= 0 or spec.fps <= 0:
            raise ValueError("clip_spec: mean and std must be equally long, std and fps above 0")
        return self

    @model_validator(mode="after")
    def _status_is_earned(self) -> "Checkpoint":
        if self.status in ("converted", "released") and (self.file.sha256 is None or self.file.size is None):
            raise ValueError(f"files.0: status {self.status!r} needs sha256 and size")
        if self.status == "released" and not any(source.type != "upstream" for source in self.sources):
            raise ValueError("sources: status 'released' needs a package, hub or url source")
        if self.status == "withdrawn" and self.reason is None:
            raise ValueError("reason: status 'withdrawn' needs one")
        return self


class Manifest(Row):
    """All checkpoints of a manifest file."""

    schema_: Annotated[Literal[1], Field(alias="schema")]
    checkpoints: tuple[Checkpoint, ...]

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Manifest":
        (name, times), *_ = Counter(row.name for row in self.checkpoints).most_common(1) or [("", 0)]
        if times > 1:
            raise ValueError(f"{times} rows are called {name!r}")
        return self
