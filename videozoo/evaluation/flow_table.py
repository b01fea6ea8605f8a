"""The flow error table as Markdown: measured and reported end-point errors side by side."""

from typing import Any


def flow_table(results: dict[str, Any]) -> str:
    """The results of `videozoo bench flow` for people to read; the errors of single pairs stand in the JSON."""
    lines = [
        "# Optical flow on the Middlebury pairs (TVNet, Table 1)",
        "",
        "| method | trained | steps | measured EPE, pixels | reported EPE, pixels |",
        "|---|---|---|---|---|",
    ]
    for row in results["rows"]:
        reported = "-" if row["reported"] is None else f"{row['reported']:.2f}"
        steps = row["steps"] or "-"
        lines.append(f"| {row['method']} | {row['training'] or '-'} | {steps} | {row['measured']:.3f} | {reported} |")
    training = results["training"]
    lines += [
        "",
        f"Measured: {results['unit']}; {results['machine']}, {results['date']}. Training: {training['optimizer']}, "
        f"rate {training['rate']}, at most {training['steps']} steps or {training['seconds']:.0f} s a row, on the "
        "pairs that are tested, as in the paper.",
        f"Reported: {results['reported']}, after 3000 steps.",
    ]
    return "\n".join(lines) + "\n"
