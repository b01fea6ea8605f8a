"""Networks recorded from upstream code: which weights they were filled with and what they answered."""

import json
import re
from pathlib import Path

import numpy as np
import torch
from fill import fill_input, fill_state

from videozoo.backbones import BACKBONES
from videozoo.hub.layouts import LAYOUTS

STORED = Path(__file__).parent / "data" / "networks.npz"

# Upstream module whose output was recorded -> part of our backbone.
PLACES = (
    (r"layer(\d)", lambda name: f"stages.{int(name[1]) - 1}"),
    (r"blocks\.0", lambda name: "stem"),
    (r"blocks\.([1-4])", lambda name: f"stages.{int(name[1]) - 1}"),
    (r"pool2_3x3_s2", lambda name: "stem"),
    (r"inception_3c_pool", lambda name: "stages.0.2.module.branches.pool"),
    (r"inception_4e_pool", lambda name: "stages.1.4.module.branches.pool"),
    (r"inception_5a_relu_1x1", lambda name: "stages.2.0.module.branches.1x1"),
    (r"conv2d_1a", lambda name: "stem"),
    (r"conv2d_4a", lambda name: "stages.0"),
    (r"repeat", lambda name: "stages.1"),
    (r"repeat_1", lambda name: "stages.2"),
    (r"block8", lambda name: "stages.3.10"),
    (r"conv2d_7b", lambda name: "stages.3"),
    (r"conv2", lambda name: "stages.6"),
)


class Recorded:
    """One recorded network: how to fill it, and what upstream answered."""

    def __init__(self, meta, arrays):
        self.meta = meta
        self.arrays = arrays

    def state(self):
        return fill_state(self.meta["keys"], self.meta["gain"])

    def clip(self, field="input"):
        filled = fill_input(*self.meta[field])
        return filled if filled.dim() == 5 else filled.unsqueeze(1)

    def backbone(self):
        state, name = self.state(), self.meta["backbone"]
        layouts = [layout for layout in LAYOUTS.values() if layout.recognise(state.keys())]
        assert len(layouts) == 1
        backbone = BACKBONES[name](self.meta["classes"]).eval()
        backbone.load_state_dict(layouts[0].rename(state, name))
        return backbone

    def assert_stages(self, outputs):
        for place, (first, last, mean_std) in self.stages().items():
            output = outputs[place]
            if output.dim() == 5:  # ours to upstream's order
                output = output.transpose(1, 2) if "blocks" in self.upstream[place] else output.flatten(0, 1)
            flat = output.flatten()
            assert_close(flat[:16], first, scale=flat)
            assert_close(flat[-16:], last, scale=flat)
            torch.testing.assert_close(flat.mean().item(), float(mean_std[0]), rtol=1e-3, atol=1e-4)
            torch.testing.assert_close(flat.std().item(), float(mean_std[1]), rtol=1e-3, atol=1e-4)

    def stages(self):
        """Our part -> first and last 16 values, mean and deviation; what each part is upstream is noted."""
        self.upstream, stages = {}, {}
        for key in self.arrays:
            match = re.fullmatch(r"stage\.(.+)\.first16", key)
            for pattern, place in PLACES if match else ():
                name = re.fullmatch(pattern, match[1])
                if name:
                    self.upstream[place(name)] = match[1]
                    stages[place(name)] = [
                        self.arrays[f"stage.{match[1]}.{k}"] for k in ("first16", "last16", "mean_std")
                    ]
        return stages


def assert_close(ours, recorded, *, scale=None, tolerance=1e-4):
    recorded = torch.as_tensor(np.asarray(recorded), dtype=ours.dtype)
    scale = recorded if scale is None else scale
    assert (ours - recorded).abs().max() <= tolerance * scale.abs().max()


def stored(name):
    """A recorded network out of tests/data."""
    arrays = {key[len(name) + 1 :]: value for key, value in np.load(STORED).items() if key.startswith(f"{name}.")}
    return Recorded(json.loads(arrays.pop("meta").tobytes()), arrays)


def beside(name, backbone, reference):
    """A recorded network out of shared/reference."""
    meta = reference("networks/index.json")[name]
    meta["backbone"] = backbone
    meta["keys"] = reference(f"networks/{name}.keys.json")
    meta["input"] = (meta.get("clip") or meta.get("image"))["fill_input"]
    return Recorded(meta, reference(f"networks/{name}.npz"))
