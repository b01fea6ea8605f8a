"""What a trained model answers to held-out clips: accuracies, confusions, and the clips it is most wrong about."""

from dataclasses import dataclass

import torch
from torch import Tensor

from videozoo.data.datamodules.base import Part, VideoDataModule
from videozoo.evaluation.metrics import ClassMeanAccuracy
from videozoo.training.recognizer import ActionRecognizer


@dataclass(frozen=True)
class Outcome:
    """Probabilities (N, K) of the clips that could be read, their labels (N,) and places in the part's list (N,)."""

    part: Part
    classes: tuple[str, ...]
    probabilities: Tensor
    labels: Tensor
    places: Tensor

    @property
    def answers(self) -> Tensor:
        """The class said of every clip.

        Shape: (N,).
        """
        return self.probabilities.argmax(dim=1)

    @property
    def top1(self) -> float:
        """Share of right answers, 0 to 1."""
        return (self.answers == self.labels).double().mean().item()

    @property
    def mean_class(self) -> float:
        """Mean over the classes of the share of right answers, 0 to 1."""
        metric = ClassMeanAccuracy(len(self.classes))
        return float(metric(self.answers, self.labels))

    @property
    def confusion(self) -> Tensor:
        """How many clips of a class (row) were taken for which (column).

        Shape: (K, K).
        """
        count = len(self.classes)
        return torch.bincount(self.labels * count + self.answers, minlength=count**2).view(count, count)

    def confused(self, most: int) -> list[tuple[str, str, int, int]]:
        """Pairs of classes mistaken most often: the truth, the answer, how many clips, of how many of that class."""
        confusion = self.confusion
        wrong = confusion - torch.diag(confusion.diagonal())
        counts, places = wrong.flatten().sort(descending=True, stable=True)
        pairs = []
        for number, place in zip(counts[:most].tolist(), places[:most].tolist(), strict=True):
            if number:
                truth, said = divmod(place, len(self.classes))
                pairs.append((self.classes[truth], self.classes[said], number, int(confusion[truth].sum())))
        return pairs

    def worst(self, most: int) -> list[int]:
        """Wrongly answered clips, as rows of ``probabilities``, those whose truth was thought least likely first."""
        likely = self.probabilities.gather(1, self.labels.unsqueeze(1)).squeeze(1)
        return [row for row in likely.argsort().tolist() if self.answers[row] != self.labels[row]][:most]


def judge(model: ActionRecognizer, data: VideoDataModule, part: Part) -> Outcome:
    """Ask a model, in float32 on its own device, about one part."""
    answers: list[tuple[Tensor, Tensor, Tensor]] = []
    model.eval()
    with torch.inference_mode():
        for batch in data.loader(part):
            if len(batch["label"]):
                scores = model.forward_views(batch["clip"].to(model.device)).float().cpu()
                answers.append((scores.softmax(dim=1), batch["label"], batch["index"]))
    probabilities, labels, places = (torch.cat(column) for column in zip(*answers, strict=True))
    return Outcome(part, data.annotations(part).classes, probabilities, labels, places)
