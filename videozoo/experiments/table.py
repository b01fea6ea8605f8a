"""Results of an experiment as one table: mean and spread over seeds, costs, and the paper's figures beside them."""

from collections import defaultdict
from statistics import mean, stdev
from typing import Any

from videozoo.experiments.experiment import Experiment


def summarize(experiment: Experiment, results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One dict a variant, in the experiment's order: mean, standard deviation and runs of top-1, and the costs."""
    runs = defaultdict(list)
    for result in results:
        runs[result["variant"]].append(result)
    rows = []
    for name, variant in experiment.variants.items():
        if runs[name]:
            top1 = [run["top1"] for run in runs[name]]
            rows.append(
                {
                    "variant": name,
                    "arch": variant.arch,
                    "top1_mean": mean(top1),
                    "top1_spread": stdev(top1) if len(top1) > 1 else None,
                    "runs": len(top1),
                    "parameters": runs[name][0]["parameters"],
                    "macs": runs[name][0]["macs"],
                    "train_seconds": mean(run["train_seconds"] for run in runs[name]),
                    "reported": experiment.reported.get(name),
                }
            )
    return rows


def to_markdown(experiment: Experiment, rows: list[dict[str, Any]], speed: dict[str, Any]) -> str:
    """The table for people: measured columns first, the reported one apart; ``speed`` as ``measured_speed`` has it."""
    head = "| variant | measured top-1, % | seeds | parameters | multiply-adds | clips/s |"
    rule = "|---|---|---|---|---|---|"
    if experiment.reported:
        head, rule = f"{head} reported by the paper, % |", f"{rule}---|"
    lines = [f"# {experiment.title}", "", head, rule]
    for row in rows:
        spread = "" if row["top1_spread"] is None else f" ± {row['top1_spread']:.1f}"
        line = (
            f"| {row['variant']} | {row['top1_mean']:.1f}{spread} | {row['runs']} | {row['parameters'] / 1e6:.3f} M "
            f"| {row['macs'] / 1e6:.0f} M | {speed['clips_per_second'][row['variant']]:.0f} |"
        )
        if experiment.reported:
            line += f" {row['reported'] if row['reported'] is not None else '-'} |"
        lines.append(line)
    data = ", ".join(f"{name} {value}" for name, value in experiment.data.model_dump().items())
    start = f"the backbone of {experiment.start}" if experiment.start else "random weights"
    notes = [
        "",
        f"Data: {data}. From {start}, {experiment.epochs} epochs of batches of {experiment.batch_size}, the same for "
        "all; ± is the standard deviation over seeds.",
        "Multiply-adds of a clip's convolutions and matrix products. Clips/s: the network alone, "
        f"{speed['clips_at_once']} clips at once, median of rounds in turn, {speed['machine']}, {speed['date']}.",
    ]
    if experiment.source:
        notes.append(f"Reported: {experiment.source}; another data set and scale, shown for the order of the rows.")
    return "\n".join(lines + notes) + "\n"
