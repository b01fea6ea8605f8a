"""Find videos that are alike: one feature vector a video, without training anything.

python examples/features.py                # makes 24 videos of moving digits
python examples/features.py my_videos/     # a folder per class: also tells how often the nearest one is of its class
"""

import argparse
from pathlib import Path

import torch
from torch.nn import functional as F

from videozoo import load_model
from videozoo.data.moving_digits_files import write_digit_videos
from videozoo.data.reading import read_views
from videozoo.data.video_files import find_video_files

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("folder", nargs="?", type=Path)
parser.add_argument("--model", default="tsm_resnet10_tiny.moving_digits")
arguments = parser.parse_args()

files = (
    find_video_files(arguments.folder) if arguments.folder else write_digit_videos("digits", 24, seed=3, part="test")
)
model = load_model(arguments.model)
backbone = model.network.backbone


@torch.inference_mode()
def describe(file: Path) -> torch.Tensor:
    """The features that the classifier sees, averaged over the clip. Shape: (D,)."""
    clip = read_views(file, model.clip_spec)  # (1, T, C, H, W)
    features = backbone.forward_features(clip)  # (1, T', D, h, w)
    return features.mean(dim=(0, 1, 3, 4))


features = F.normalize(torch.stack([describe(file) for file in files]), dim=1)
torch.save({"files": [str(file) for file in files], "features": features}, "features.pt")
print(f"features.pt: {len(files)} videos, {features.shape[1]} numbers each")

alike = features @ features.T  # cosine similarity
alike.fill_diagonal_(-1.0)
nearest = alike.argmax(dim=1).tolist()
for file, place in list(zip(files, nearest, strict=True))[:5]:
    print(f"{file.parent.name}/{file.name} is most like {files[place].parent.name}/{files[place].name}")
same = sum(file.parent.name == files[place].parent.name for file, place in zip(files, nearest, strict=True))
print(f"the nearest video is of the same class for {same} of {len(files)}")
