"""What a page says about a model, in Markdown: what it costs, where its weights are from, and its model card."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from videozoo.hub.schema import Checkpoint, Source
    from videozoo.training.recognizer import ActionRecognizer


def about(model: "ActionRecognizer", name: str) -> str:
    """The text; ``name`` is what the model was asked for by."""
    from videozoo.hub.card import card_body
    from videozoo.hub.describe import describe_cost

    row: Checkpoint | None = model.checkpoint
    cost = row.cost.model_dump() if row is not None and row.cost is not None else describe_cost(model)
    facts = {
        "parameters": f"{cost['params'] / 1e6:.2f} M",
        "multiply-adds of a clip": f"{cost['gmacs']:.4g} G",
        "clip": " x ".join(map(str, cost["clip"])),
    }
    if row is None:
        title = f"# {name}\n\nAn architecture with random weights: nothing was learnt, the answers mean nothing."
        return f"{title}\n\n{_table(facts)}\n"
    facts |= {
        "checkpoint": f"{row.name} ({row.status})",
        "weights": "; ".join(map(_source, row.sources)) or "a folder",
    }
    title, body = card_body(row, name, model.labels).split("\n\n", 1)
    return f"{title}\n\n{_table(facts)}\n\n{body}"


def _table(facts: dict[str, str]) -> str:
    rows = "\n".join(f"| {fact} | {value} |" for fact, value in facts.items())
    return f"| cost and source | |\n|---|---|\n{rows}"


def _source(source: "Source") -> str:
    """One place that the weights can be had from."""
    if source.type == "package":
        return f"come with videozoo, {source.path}"
    if source.type == "hub":
        return f"hub repository {source.repo_id} at {source.revision[:12]}"
    if source.type == "upstream":
        return f"converted from {source.url}"
    return source.url
