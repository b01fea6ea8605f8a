"""Fine-tune a network on a folder of videos in Python: a data module, a model, Lightning's Trainer.

    python examples/finetune_folder.py                  # makes 24 videos of moving digits in digits/
    python examples/finetune_folder.py my_videos/       # a folder per class, or train/ and val/ with one

`videozoo finetune my_videos/` does more (checks, presets, a report, a checkpoint to publish); this is what lies below.
"""

import argparse
from pathlib import Path

from pytorch_lightning import Trainer, seed_everything

from videozoo import load_model, save_model
from videozoo.data.datamodules import VideoFolder
from videozoo.data.moving_digits_files import write_digit_videos
from videozoo.training.optimization import Optimization

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("folder", nargs="?", type=Path)
parser.add_argument("--model", default="tsm_resnet10_tiny.moving_digits")
parser.add_argument("--epochs", type=int, default=2)
arguments = parser.parse_args()

folder = arguments.folder or Path("digits")
if arguments.folder is None:
    write_digit_videos(folder, videos=24, seed=11)
seed_everything(1)

# The weights of the checkpoint, but a new classifier for the classes of this folder.
data = VideoFolder(folder, clip_spec=load_model(arguments.model).clip_spec, batch_size=8, holdout=0.25, flip=False)
model = load_model(arguments.model, num_classes=len(data.classes), fresh_classifier=True)
model.optimization = Optimization(learning_rate=0.02, warmup_epochs=1)
parts = {part: len(data.dataset(part)) for part in ("train", "val")}
print(f"{parts['train']} videos to train on, {parts['val']} to validate: {', '.join(data.classes)}")

trainer = Trainer(max_epochs=arguments.epochs, accelerator="auto", devices=1, logger=False, enable_checkpointing=False)
(before,) = trainer.validate(model, data, verbose=False)
trainer.fit(model, data)
(after,) = trainer.validate(model, data, verbose=False)
print(f"top-1 on the held-out videos: {before['val/top1']:.2f} before, {after['val/top1']:.2f} after")

# A folder that load_model, `videozoo predict --model` and `videozoo publish` take.
row = save_model(
    model,
    "finetuned",
    name=f"{model.checkpoint.arch}.my_videos",
    dataset="my_videos",
    origin={"kind": "trained", "author": "me", "base_model": arguments.model},
    licence={"weights": "MIT", "stated_for_weights": True, "redistribute": True},
)
video = data.dataset("val").annotations.path(0)
print(f"finetuned/ holds {row.name}, which answers {load_model('finetuned').predict(video)}")
