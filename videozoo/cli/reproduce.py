"""Run a controlled experiment: every variant, every seed, one table with means and spreads.

Finished runs are kept in the folder and not repeated, so a stopped experiment goes on where it was. Without a name, the
experiments are listed.
"""

import argparse
import json
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo reproduce`."""
    parser.add_argument("experiment", nargs="?", help="a name, or the path of a YAML file")
    parser.add_argument("--out", type=Path, default=Path("results"), metavar="DIR")
    parser.add_argument("--only", nargs="+", default=(), metavar="VARIANT")
    for name, what in (("arid", "ARID"), ("mnist", "MNIST's idx files"), ("backgrounds", "background videos")):
        parser.add_argument(f"--{name}", metavar="DIR", help=f"folder of {what}")
    parser.add_argument("--threads", type=int, default=None, help="threads of torch")


def run(arguments: argparse.Namespace) -> int:
    """Run, measure speed, then write DIR/NAME.json and DIR/NAME.md."""
    from videozoo.experiments.experiment import list_experiments, read_experiment

    if arguments.experiment is None:
        for name in list_experiments():
            print(f"{name:<28} {read_experiment(name).title}")
        return 0
    experiment = read_experiment(arguments.experiment)

    import torch

    from videozoo.experiments.run import run_experiment
    from videozoo.experiments.speed import measured_speed
    from videozoo.experiments.table import summarize, to_markdown

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    name = Path(arguments.experiment).stem
    roots = {key: getattr(arguments, key) for key in ("arid", "mnist", "backgrounds")}
    results = run_experiment(experiment, arguments.out / name, roots=roots, only=tuple(arguments.only))
    rows = summarize(experiment, results)
    speed = measured_speed(experiment, (row["variant"] for row in rows), arguments.out / name / "speed.json")
    table = to_markdown(experiment, rows, speed)
    record = {"experiment": experiment.model_dump(mode="json"), "rows": rows, "speed": speed, "runs": results}
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    (arguments.out / f"{name}.md").write_text(table, encoding="utf-8")
    print(table)
    return 0
