"""Bring weights that another code wrote into the zoo: recognised, checked tensor by tensor, ready for a hub.

    python examples/convert_and_publish.py
    python examples/convert_and_publish.py their.pth --repo-id me/their-network

Without a file a ResNet-18 as torchvision saves it is made, with random weights. Nothing is sent: leave out ``dry_run``
(after `hf auth login`) to publish. On the command line: `videozoo convert FILE --to DIR`, `videozoo publish DIR`.
"""

import argparse
from pathlib import Path

import torch
from torchvision.models import resnet18

from videozoo import load_model, publish_model
from videozoo.hub.convert import Choices, convert
from videozoo.hub.find import Search
from videozoo.hub.row_text import row_as_yaml

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("file", nargs="?", type=Path)
parser.add_argument("--repo-id", default="someone/resnet18-frames")
arguments = parser.parse_args()

file = arguments.file or Path("theirs.pth")
if arguments.file is None:
    torch.manual_seed(0)
    theirs = resnet18(weights=None).eval()
    torch.save({"state_dict": theirs.state_dict(), "epoch": 90}, file)

row, folder = convert(str(file), to="converted", choices=Choices(), search=Search.of(None))
print(f"{file} is {row.name}: {row.method} with {row.num_classes} classes, {row.file.size} bytes as safetensors")
print(f"{folder}/ holds {', '.join(sorted(path.name for path in Path(folder).iterdir()))}")

model = load_model(folder).eval()
if arguments.file is None:  # the same function, to the last digit that floats promise
    image = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        difference = (model(image.unsqueeze(1)) - theirs(image)).abs().max().item()
    print(f"largest difference of scores: {difference:.1e}")

# Whoever made the weights has not said that they may be passed on: a private repository is all that is allowed.
row = publish_model(folder, arguments.repo_id, private=True, dry_run=True)
print(f"would be published as {arguments.repo_id}@{row.sources[0].tag}:")
print(row_as_yaml(row))
