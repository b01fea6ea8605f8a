"""The model card of a checkpoint: metadata that a hub reads, and what people ask first. Made from the row alone."""

import re
import sys
from collections.abc import Sequence
from typing import Any

from videozoo.hub.schema import Checkpoint, Figures, Measured, Reported
from videozoo.hub.tables import views_text
from videozoo.methods import METHODS

# SPDX identifiers that a hub knows by these names; any other licence is "other", with its own name and link.
HUB_LICENCES = {
    "Apache-2.0": "apache-2.0",
    "MIT": "mit",
    "BSD-2-Clause": "bsd-2-clause",
    "BSD-3-Clause": "bsd-3-clause",
    "CC-BY-4.0": "cc-by-4.0",
    "CC-BY-NC-4.0": "cc-by-nc-4.0",
}

THESIS = "Huang, Spatio-Temporal Modeling for Action Recognition in Videos, thesis, University of York, 2022"

# What a visitor may not know of a data set that networks here are trained on.
DATA = {
    "imagenet1k": "photographs of 1000 kinds of things, one frame each",
    "kinetics400": "ten-second clips from the web, 400 human actions",
    "moving_digits": "made videos of 32 frames, a digit moving up, down, left or right for a part of the time, between "
    "black frames, empty ones and other digits (`videozoo make-digits`)",
    "ssv1": "short clips of hands that do 174 things with objects, told apart by their order in time",
    "ssv2": "short clips of hands that do 174 things with objects, told apart by their order in time",
    "ucf101": "clips from the web, 101 human actions",
    "hmdb51": "clips from films and the web, 51 human actions",
}
SAMPLING = {
    "uniform": "spread evenly over the video",
    "dense": "from a window of 64 frames",
    "timed": "at a fixed distance in time",
    "all": "all in order",
}

USE = """Labelling short videos with one of the classes below, and starting point for training on other classes. Not
meant for deciding about people: the labels describe what is done in a clip, learnt from one collection of videos with
its own biases, and a network always answers with one of its classes, also where none applies."""
MADE_DATA = """Showing that the method works, and how, in seconds on a CPU; examples and tests. Trained on made videos
alone: it recognises nothing in real ones, and its figures say little about real ones. As a starting point for other
classes it is good for tests, not for results."""


def model_card(
    row: Checkpoint, repo_id: str, tag: str, labels: Sequence[str] | None = None, *, packaged: bool = False
) -> str:
    """README.md of a repository that holds the checkpoint; ``packaged`` says that it comes with this package too."""
    from huggingface_hub import ModelCardData

    metadata = ModelCardData(**card_metadata(row)).to_yaml()
    body = card_body(row, f"{repo_id}@{tag}", labels, packaged=packaged)
    return f"---\n{metadata}\n---\n{body}"


def card_metadata(row: Checkpoint) -> dict[str, Any]:
    """The fields of the card's header."""
    from huggingface_hub import EvalResult

    results = [
        EvalResult(
            task_type="video-classification",
            dataset_type=result.dataset,
            dataset_name=result.dataset,
            dataset_split=result.split,
            dataset_args={
                "views": views_text(result.protocol),
                "average": result.protocol.average,
                **({"note": result.note} if result.note else {}),
            },
            metric_type="accuracy",
            metric_name=f"{metric} ({result.kind})",
            metric_value=value,
            source_name=result.by if isinstance(result, Reported) else None,
            source_url=result.source if isinstance(result, Reported) else None,
        )
        for result in row.results
        for metric, value in (("top-1", result.top1), ("top-5", result.top5), ("class mean", result.mean_class))
        if value is not None
    ]
    licence = HUB_LICENCES.get(row.licence.weights)
    fields: dict[str, Any] = {
        "model_name": row.name,
        "library_name": "videozoo",
        "pipeline_tag": "video-classification",
        "tags": ["video-classification", "action-recognition", row.method, row.arch],
        "datasets": [row.dataset],
        "metrics": ["accuracy"],
        "license": licence or "other",
        "eval_results": results or None,
    }
    if licence is None:
        fields |= {"license_name": row.licence.weights.lower().replace(" ", "-"), "license_link": "LICENSE"}
    if row.origin.base_model and "/" in row.origin.base_model:
        fields["base_model"] = row.origin.base_model
    return fields


def card_body(row: Checkpoint, load_name: str, labels: Sequence[str] | None, *, packaged: bool = False) -> str:
    """The card below its header, in Markdown; ``load_name`` is what load_model takes."""
    parts = [
        f"# {row.name}\n\n{_summary(row)}",
        f"## Use\n\n{_use(row, load_name, packaged=packaged)}",
        f"## Input\n\n{_input(row)}",
        f"## Results\n\n{_figures(row)}",
        f"## Intended use and limits\n\n{MADE_DATA if row.dataset == 'moving_digits' else USE}",
        f"## Origin and licence\n\n{_origin(row)}",
    ]
    if labels:
        shown = ", ".join(labels[:8]) + (", ..." if len(labels) > 8 else "")
        parts.append(f"## Classes\n\n{len(labels)}, in the order of labels.txt: {shown}")
    if row.paper:
        parts.append(f"## Paper\n\n[{row.paper.title}]({row.paper.url})")
    return "\n\n".join(parts) + "\n"


def _summary(row: Checkpoint) -> str:
    """What the method does, in the first line of its file; then data and cost."""
    method = METHODS.get(row.method)
    told = (sys.modules[method.__module__].__doc__ or "").splitlines()[:1] if method else []
    idea = re.sub(r"\bthesis\b", THESIS, told[0], count=1) + "\n\n" if told else ""
    about = f": {DATA[row.dataset]}" if row.dataset in DATA else ""
    text = f"{idea}`{row.arch}` for the {row.num_classes} classes of {row.dataset}{about}."
    if row.cost:
        frames, height, width = row.cost.clip
        text += (
            f" {row.cost.params / 1e6:.2f} M parameters, {row.cost.gmacs:.2f} G multiply-adds a clip of {frames} "
            f"frames of {height} x {width}."
        )
    return text


def _use(row: Checkpoint, load_name: str, *, packaged: bool) -> str:
    """How to have it, predict, and train it further."""
    also = f' The weights also come with the package: `load_model("{row.name}")`.' if packaged else ""
    return (
        f'```python\nfrom videozoo import load_model\n\nmodel = load_model("{load_name}")\n'
        f'print(model.predict("clip.mp4", topk={min(5, row.num_classes)}))\n```\n\n'
        f"`videozoo predict clip.mp4 --model {load_name}` does it from the command line, `videozoo finetune my_videos/ "
        f"--model {load_name}` trains it on a folder of your videos. The weights are the state dict of "
        f"`model.network`, a plain torch module; size and sha256 are verified.{also}"
    )


def _input(row: Checkpoint) -> str:
    spec = row.clip_spec
    mean, std = (", ".join(f"{value:g}" for value in values) for values in (spec.mean, spec.std))
    frames = f"{spec.frames} frames"
    if spec.frames_per_segment > 1:
        frames += f", {spec.segments} snippets of {spec.frames_per_segment} consecutive ones"
    return (
        f"Clips (B, T, C, H, W) of {frames}, {SAMPLING[spec.sampling]}; short side {spec.resize} pixels, of which the "
        f"middle {spec.size} x {spec.size}; {spec.modality.replace('_', ' ')} in 0..{spec.value_range}, channels in "
        f"the order {spec.channel_order}, less the mean {mean}, over the deviation {std}. `model.clip_spec` holds "
        "this, and `predict` obeys it."
    )


def _figures(row: Checkpoint) -> str:
    """Two tables, so that other people's figures are never mistaken for ours."""
    parts = []
    reported = [result for result in row.results if isinstance(result, Reported)]
    measured = [result for result in row.results if isinstance(result, Measured)]
    if reported:
        rows = [(*_cells(result), f"[{result.by}]({result.source})", result.note or "") for result in reported]
        parts.append("Reported by others:\n\n" + _table(("data", "views", "top-1", "top-5", "by", "note"), rows))
    if measured:
        rows = [
            (
                *_cells(result),
                str(result.n),
                f"`{result.command}`",
                f"{result.date}, seed {result.seed}, {result.commit or result.version}",
                result.note or "",
            )
            for result in measured
        ]
        header = ("data", "views", "top-1", "top-5", "videos", "command", "when and with what", "note")
        parts.append("Measured with videozoo:\n\n" + _table(header, rows))
    if not parts:
        return "None yet."
    return "\n\n".join([*parts, "Accuracies in percent; views are clips in time x crops in space, averaged."])


def _cells(result: Figures) -> tuple[str, ...]:
    figures = [f"{value:.2f}" if value is not None else "-" for value in (result.top1, result.top5)]
    views = f"{views_text(result.protocol)}, mean of {result.protocol.average}"
    return (f"{result.dataset}, {result.split}", views, *figures)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") or " " for cell in cells) + " |" for cells in rows]
    return "\n".join(lines)


def _origin(row: Checkpoint) -> str:
    origin, licence = row.origin, row.licence
    maker = (
        f"{origin.author} ({origin.repo}{'@' + origin.commit if origin.commit else ''})"
        if origin.repo
        else origin.author
    )
    data = f"on {origin.training_data}" if origin.training_data else ""
    facts = [
        f"Trained by {maker} {data}".rstrip() if origin.kind == "trained" else f"Converted from weights by {maker}",
        f"started from {origin.base_model}" if origin.base_model else "",
        f"trained {data}" if data and origin.kind != "trained" else "",
        origin.note or "",
    ]
    terms = [
        f"Licence of the weights: {licence.weights}" + (f" ([source]({licence.source}))" if licence.source else ""),
        "" if licence.stated_for_weights else "the source states it for the code, not for the weights",
        "no commercial use" if licence.non_commercial else "",
        f"attribution: {licence.attribution}" if licence.attribution else "",
        f"data: {licence.data_terms}" if licence.data_terms else "",
    ]
    file = f"`{row.file.path}`: {row.file.size} bytes, sha256 `{row.file.sha256}`, {row.file.dtype}."
    return "\n\n".join(("; ".join(filter(None, facts)) + ".", "; ".join(filter(None, terms)) + ".", file))
