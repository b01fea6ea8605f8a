"""A new method from parts: band-pass input (BQN), region attention (RNL), adaptive pooling (DATP) on any backbone.

python examples/compose_method.py
python examples/compose_method.py --backbone tsn_resnet18 --steps 1      # on another one
"""

import argparse
from functools import partial

from pytorch_lightning import Trainer, seed_everything
from torch import Tensor, nn

from videozoo.attention import create_attention
from videozoo.backbones.create import create_backbone
from videozoo.data.datamodules import MovingDigits
from videozoo.representations.band_pass import MotionBandPass
from videozoo.temporal.adaptive_pooling import AdaptivePooling
from videozoo.training.optimization import Optimization
from videozoo.training.recognizer import ActionRecognizer


class MovingRegions(nn.Module):
    """Three frames become one of moving edges; regions attend to one another; features weight the segments."""

    def __init__(self, backbone: str, num_classes: int, segments: int) -> None:
        super().__init__()
        self.representation = MotionBandPass()
        self.backbone = create_backbone(backbone, num_classes)
        self.backbone.attend({2: (0,)}, partial(create_attention, "rnl", kernel="3x3x3"))
        self.consensus = AdaptivePooling(self.backbone.num_features, segments=segments, source="maps")

    def forward(self, clip: Tensor) -> Tensor:
        features = self.backbone.forward_features(self.representation(clip))  # (B, S, D, h, w)
        return self.consensus(self.backbone.forward_head(features), features)  # (B, K)


class Composed(ActionRecognizer):
    """The recognizer around it: losses, metrics and optimiser are those of every method."""

    def __init__(self, backbone: str, num_classes: int, segments: int = 8) -> None:
        network = MovingRegions(backbone, num_classes, segments)
        spec = network.backbone.clip_spec.in_snippets(3)
        super().__init__(
            network, clip_spec=spec, num_classes=num_classes, optimization=Optimization(learning_rate=0.02)
        )
        self.save_hyperparameters()


parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--backbone", default="tsm_resnet10_tiny")
parser.add_argument("--steps", type=int, default=8)
arguments = parser.parse_args()

seed_everything(1)
model = Composed(arguments.backbone, num_classes=4)
print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters, clips of {model.clip_spec.frames} frames")
data = MovingDigits(model.clip_spec, videos_train=64, videos_val=16, batch_size=8)
trainer = Trainer(max_steps=arguments.steps, accelerator="cpu", logger=False, enable_checkpointing=False)
trainer.fit(model, data)
print(f"after {trainer.global_step} steps: loss {trainer.callback_metrics['train/loss']:.3f}")
