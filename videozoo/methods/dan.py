"""DAN: a backbone that sees how appearance changes, not appearance itself (thesis, sections 3.5 and 3.6)."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace

import pytorch_lightning as pl
from torch import Tensor, nn

from videozoo.backbones.create import create_backbone
from videozoo.clip_spec import Views
from videozoo.errors import SettingError
from videozoo.representations.pixel_projection import PixelProjection
from videozoo.temporal.consensus import AverageConsensus
from videozoo.training.joint_training import ConstantScale, JointTraining, SeparateTraining
from videozoo.training.multiple_gradient_descent import MultipleGradientDescent
from videozoo.training.optimization import Optimization
from videozoo.training.recognizer import ActionRecognizer
from videozoo.training.scale_scheduler import ScaleScheduler

JOINT_TRAINING: dict[str, type[JointTraining]] = {
    "mgda": MultipleGradientDescent,
    "scheduler": ScaleScheduler,
    "constant": ConstantScale,
    "separate": SeparateTraining,
}


class DAN(ActionRecognizer):
    """Dynamic Appearance Net: pixel-wise projection of every segment, then any backbone on the S pictures left.

    ``segments`` (without: as many as the backbone's own frames) of ``frames`` consecutive frames; ``dimension``,
    ``kernel_size``, ``stride``, ``width`` and ``perceptron`` are those of the projection. ``joint`` is one of mgda,
    scheduler, constant, separate, ``joint_options`` its numbers (alpha, or gamma and knee, or epochs).

    Shape: (B, S * T, C, H, W) -> (B, K).
    """

    def __init__(
        self,
        backbone: str,
        num_classes: int,
        *,
        segments: int | None = None,
        frames: int = 8,
        dimension: int = 1,
        kernel_size: int = 9,
        stride: int = 8,
        width: int = 24,
        perceptron: int = 7,
        joint: str = "mgda",
        joint_options: Mapping[str, float] | None = None,
        dropout: float | None = None,
        pretrained: str | None = None,
        optimization: Optimization | None = None,
    ) -> None:
        projection = PixelProjection(
            frames=frames,
            dimension=dimension,
            kernel_size=kernel_size,
            stride=stride,
            width=width,
            perceptron=perceptron,
        )
        body = create_backbone(backbone, num_classes, dropout=dropout, pretrained=pretrained)
        spec = body.clip_spec.in_snippets(frames)
        super().__init__(
            nn.Sequential(OrderedDict(representation=projection, backbone=body, consensus=AverageConsensus())),
            # Section 3.6.1: views are averaged after the softmax.
            clip_spec=replace(spec, frames=frames * (segments or spec.segments), views=Views(average="probabilities")),
            num_classes=num_classes,
            optimization=optimization,
        )
        self.joint = new_joint_training(joint, **(joint_options or {}))
        self.save_hyperparameters()

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Both objectives of one batch, combined by the strategy."""
        assert isinstance(self.network, nn.Sequential)
        projection = self.network.get_submodule("representation")
        assert isinstance(projection, PixelProjection)
        appearance, projection_loss = projection.forward_with_loss(batch["clip"])
        scores = self.network[1:](appearance)
        recognition_loss = self.loss(scores, batch["label"])
        self.log("train/loss", recognition_loss, prog_bar=True, batch_size=len(scores))
        self.log("train/projection_loss", projection_loss, prog_bar=True, batch_size=len(scores))
        return self.joint.combine(projection_loss, recognition_loss, list(projection.parameters()))

    def configure_callbacks(self) -> list[pl.Callback]:
        """The strategy of joint training, which watches the trainer."""
        return [self.joint]


def new_joint_training(name: str, **options: float) -> JointTraining:
    """A strategy by name.

    Raises:
        SettingError: when there is none of that name, or an option is not its own.
    """
    if name not in JOINT_TRAINING:
        raise SettingError(f"joint {name!r}: must be one of {', '.join(JOINT_TRAINING)}")
    try:
        return JOINT_TRAINING[name](**options)
    except TypeError as error:
        raise SettingError(f"joint_options {options} of {name}: {error}") from error
