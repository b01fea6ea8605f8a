"""The papers, one file each; the plain baselines TSN, TSM and X3D among them."""

from videozoo.training.recognizer import ActionRecognizer

METHODS: dict[str, type[ActionRecognizer]] = {}
