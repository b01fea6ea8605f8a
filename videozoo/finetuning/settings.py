"""What a fine-tuning is, as plain values that are written beside it and compared when it goes on."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from videozoo.errors import SettingError
from videozoo.training.optimization import Optimization

Choice = Literal["auto", "yes", "no"]

# papers: SGD as TSN and TSM fine-tune (classifier five times the rate, all batch norms but the first frozen), the rate
#   that of 64 clips a step, with warm-up and cosine as X3D's. head: the classifier alone on a frozen network.
# scratch: nothing frozen, for random weights and for videos that are far from what the checkpoint has seen.
PRESETS: dict[str, Optimization] = {
    "papers": Optimization(learning_rate=0.01, reference_batch=64, groups="tsn", batch_norm="partial", warmup_epochs=1),
    "head": Optimization("adamw", learning_rate=0.01, weight_decay=0.02, batch_norm="frozen", warmup_epochs=1),
    "scratch": Optimization("adamw", learning_rate=0.002, weight_decay=0.02, warmup_epochs=1),
}


@dataclass(frozen=True)
class FineTuning:
    """A checkpoint's name, a folder, and how the one learns from the other.

    ``dataset`` is one of DATA_MODULES with its ``dataset_settings``; ``clip`` changes fields of the checkpoint's
    ClipSpec. ``from_scratch`` keeps the architecture and draws all weights. ``learning_rate`` replaces the preset's own
    for this batch size. ``patience`` counts epochs without a better mean class accuracy; ``ema`` is the decay of
    averaged weights, None for none. ``balance`` draws rare classes as often as common ones; auto does where the largest
    class has at least twice the clips of the smallest.
    """

    folder: str
    model: str
    dataset: str = "video_folder"
    dataset_settings: dict[str, Any] = field(default_factory=dict)
    clip: dict[str, Any] = field(default_factory=dict)
    from_scratch: bool = False
    preset: str = "papers"
    epochs: int = 30
    batch_size: int = 16
    learning_rate: float | None = None
    holdout: float = 0.2
    patience: int = 10
    ema: float | None = None
    balance: Choice = "auto"
    flip: bool = True
    seed: int = 1

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise SettingError(f"--preset {self.preset!r}: must be one of {', '.join(PRESETS)}")
        for name in ("epochs", "batch_size", "patience"):
            if getattr(self, name) < 1:
                raise SettingError(f"--{name.replace('_', '-')} {getattr(self, name)}: must be at least 1")
        if self.ema is not None and not 0 < self.ema < 1:
            raise SettingError(f"--ema {self.ema}: must lie between 0 and 1")
        if self.learning_rate is not None and self.learning_rate <= 0:
            raise SettingError(f"--learning-rate {self.learning_rate}: must be above 0")

    @property
    def optimization(self) -> Optimization:
        """The preset, with this learning rate where one is given."""
        preset = PRESETS[self.preset]
        if self.learning_rate is not None:
            preset = replace(preset, learning_rate=self.learning_rate, reference_batch=None)
        return replace(preset, warmup_epochs=min(preset.warmup_epochs, self.epochs / 4))

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def check_same(self, stored: dict[str, Any]) -> None:
        """Say which setting of a training that is to go on was another when it began.

        Raises:
            SettingError: naming the first.
        """
        for name, value in self.to_dict().items():
            if name in stored and stored[name] != value:
                raise SettingError(
                    f"--resume: {name.replace('_', ' ')} was {stored[name]!r} when this training began, not {value!r}"
                )
