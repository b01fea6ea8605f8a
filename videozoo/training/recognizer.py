"""The one LightningModule that every method shares: a network, its metrics, its steps."""

import math
from typing import TYPE_CHECKING, Any, ClassVar

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassAccuracy

from videozoo.clip_spec import Average, ClipSpec
from videozoo.errors import SettingError
from videozoo.evaluation.metrics import ClassMeanAccuracy, MeanAveragePrecision
from videozoo.training.frozen_norms import frozen_norms
from videozoo.training.optimization import Optimization
from videozoo.training.parameter_groups import parameter_groups
from videozoo.training.preparation import clips_of_step, prepare_network
from videozoo.training.sharding import shard

if TYPE_CHECKING:
    from pytorch_lightning.utilities.types import OptimizerLRScheduler


def average_views(scores: Tensor, average: Average) -> Tensor:
    """One answer from the answers to several views, as log-probabilities or scores.

    Shape: (B, V, K) -> (B, K). The mean of scores (TSN, TSM, RNL, BQN) and the mean of probabilities (X3D, mmaction2)
    can pick different classes; a checkpoint says which one its figure was made with. Softmax of the result gives the
    probabilities in both cases.
    """
    if average == "scores":
        return scores.mean(dim=1)
    return torch.logsumexp(scores.log_softmax(dim=-1), dim=1) - torch.log(torch.tensor(float(scores.shape[1])))


class ActionRecognizer(pl.LightningModule):
    """Videos to classes: ``forward`` maps a clip (B, T, C, H, W) to scores (B, K), in training and evaluation alike.

    A method is a subclass whose constructor takes names and numbers only, builds ``network`` from them and hands it
    over here. Batches are dicts with ``clip``, ``label`` and ``index`` (see videozoo.clip_spec). ``backbones`` are the
    names, as patterns, of the backbones that the method can work with.
    """

    backbones: ClassVar[tuple[str, ...]] = ("*",)

    def __init__(
        self,
        network: nn.Module,
        *,
        clip_spec: ClipSpec,
        num_classes: int,
        multilabel: bool = False,
        optimization: Optimization | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.clip_spec = clip_spec
        self.num_classes = num_classes
        self.multilabel = multilabel
        self.optimization = optimization or Optimization()
        self.labels: tuple[str, ...] = tuple(f"class {k}" for k in range(num_classes))
        self.checkpoint: Any = None  # the manifest row that the weights came from, where they did
        self.val_metrics = build_metrics(num_classes, multilabel=multilabel).clone(prefix="val/")
        self.test_metrics = self.val_metrics.clone(prefix="test/")

    def forward(self, clip: Tensor) -> Tensor:
        """Scores before softmax. Shape: (B, T, C, H, W) -> (B, K)."""
        return self.network(clip)

    def forward_views(self, views: Tensor) -> Tensor:
        """One answer a video from all of its views. Shape: (B, V, T, C, H, W) or (B, T, C, H, W) -> (B, K)."""
        if views.dim() == 5:
            return self(views)
        scores = self(views.flatten(0, 1)).unflatten(0, views.shape[:2])
        return average_views(scores, self.clip_spec.views.average)

    def loss(self, scores: Tensor, label: Tensor) -> Tensor:
        """Cross-entropy, or one binary cross-entropy a class where a video has several labels."""
        if self.multilabel:
            return F.binary_cross_entropy_with_logits(scores, label.to(scores.dtype))
        smoothing = self.optimization.label_smoothing if self.training else 0.0
        return F.cross_entropy(scores, label, label_smoothing=smoothing)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        """Loss of one batch."""
        loss = self.loss(self(batch["clip"]), batch["label"])
        self.log("train/loss", loss, prog_bar=True, batch_size=len(batch["label"]))
        return loss

    def validation_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Count one batch into the validation metrics."""
        self._evaluate(batch, self.val_metrics, "val/loss")

    def test_step(self, batch: dict[str, Tensor], batch_idx: int) -> None:
        """Count one batch of views into the test metrics."""
        self._evaluate(batch, self.test_metrics, "test/loss")

    def predict_step(self, batch: dict[str, Tensor], batch_idx: int) -> dict[str, Tensor]:
        """Scores (B, K) and the videos' places in their list."""
        if not len(batch["label"]):
            return {"scores": torch.empty(0, self.num_classes), "index": batch["index"]}
        return {"scores": self.forward_views(batch["clip"]), "index": batch["index"]}

    def predict(self, video: Any, **options: Any) -> Any:
        """Label a video file, or several; see ``videozoo.predict`` for the options and the answer."""
        import videozoo

        return videozoo.predict(self, video, **options)

    def on_fit_start(self) -> None:
        """Take the class names over from the data, where it has as many."""
        data = getattr(self.trainer, "datamodule", None)
        names = getattr(data, "classes", None) or getattr(data, "labels", None) or ()
        if len(names) == self.num_classes:
            self.labels = tuple(names)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the class names over from a checkpoint of a training run."""
        names = checkpoint.get("videozoo", {}).get("labels", ())
        if len(names) == self.num_classes:
            self.labels = tuple(names)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep beside the weights of a training run what its model needs to be converted, loaded and published."""
        checkpoint["videozoo"] = {
            "method": type(self).__name__,
            "clip_spec": self.clip_spec.to_dict(),
            "labels": list(self.labels),
            "base_model": getattr(self.checkpoint, "name", None),
        }

    def configure_model(self) -> None:
        """Spread the weights over processes, where the strategy has a mesh for that.

        Raises:
            SettingError: for methods whose training step runs parts of the network: they train with ddp.
        """
        if self.device_mesh is None:
            return
        if type(self).training_step is not ActionRecognizer.training_step:
            raise SettingError(f"{type(self).__name__}: its weights cannot be spread over processes; use strategy ddp")
        shard(self.network, self.device_mesh["data_parallel"])

    def setup(self, stage: str) -> None:
        """Make the network ready to be trained as ``optimization`` says, before a strategy wraps it."""
        if stage == "fit":
            prepare_network(self.network, self.optimization)

    def train(self, mode: bool = True) -> "ActionRecognizer":
        """Training mode, but for batch norms that keep their statistics."""
        super().train(mode)
        for norm in frozen_norms(self.network, self.optimization.batch_norm):
            norm.eval()
        return self

    def parameter_groups(self) -> list[dict[str, Any]]:
        """What the optimiser is given, at the learning rate of this run."""
        optimization, rate = self.optimization, self.optimization.learning_rate
        if optimization.reference_batch is not None:
            rate = optimization.rate_at(clips_of_step(self.trainer))
        return parameter_groups(
            self.network, optimization.groups, learning_rate=rate, weight_decay=optimization.weight_decay
        )

    def configure_optimizers(self) -> "OptimizerLRScheduler":
        """The optimiser of ``optimization`` over the parameter groups, and its schedule."""
        optimizer = self.optimization.build_optimizer(self.parameter_groups())
        steps = self.trainer.estimated_stepping_batches  # reads the data, so that its batches are counted
        batches = self.trainer.num_training_batches / self.trainer.accumulate_grad_batches
        per_epoch = math.ceil(batches) if math.isfinite(batches) else steps / max(self.trainer.max_epochs or 1, 1)
        schedule: Any = self.optimization.build_schedule(
            optimizer, steps_per_epoch=per_epoch, epochs=steps / max(per_epoch, 1)
        )
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def _evaluate(self, batch: dict[str, Tensor], metrics: MetricCollection, loss_name: str) -> None:
        count, loss = len(batch["label"]), torch.zeros((), device=self.device)
        if count:  # a batch in which no video could be read counts nothing, but every process logs
            scores = self.forward_views(batch["clip"])
            metrics.update(scores, batch["label"])
            loss = self.loss(scores, batch["label"])
        self.log_dict(dict(metrics.items()), prog_bar=True, batch_size=count)
        self.log(loss_name, loss, batch_size=count, sync_dist=True)


def build_metrics(num_classes: int, *, multilabel: bool) -> MetricCollection:
    """Top-1, top-5 and class-mean accuracy, or mean average precision where a video has several labels."""
    if multilabel:
        return MetricCollection({"mean_average_precision": MeanAveragePrecision()})
    # Groups of metrics that share their counts are found from the first batch alone: where all of its first answers are
    # right, top-1 and top-5 would be taken for the same.
    return MetricCollection(
        {
            "top1": MulticlassAccuracy(num_classes, average="micro"),
            "top5": MulticlassAccuracy(num_classes, average="micro", top_k=min(5, num_classes)),
            "mean_class": ClassMeanAccuracy(num_classes),
        },
        compute_groups=False,
    )
