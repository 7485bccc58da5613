"""Records of experiments, written by hand for those that judge them."""

import csv
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.studies.record import EVALUATION_COLUMNS

# A run's epochs, and rows of evaluations.csv.
Written = tuple[Sequence[Mapping[str, float]], Sequence[Mapping[str, object]]]


def judged_alike(command: Callable[[Sequence[str]], None], results: Path, folder: Path, names: Sequence[str]) -> None:
    """What the command writes of a study's committed records, judged again in `folder`, are the files beside them."""
    again = folder / "results"
    shutil.copytree(results, again)
    for name in names:
        (again / name).unlink()
    command(["--judge", "--out", str(again)])
    for name in names:
        assert (again / name).read_bytes() == (results / name).read_bytes(), name


def written(folder: Path, runs: Mapping[str, Written], objectives: Mapping[str, Mapping[str, Any]]) -> None:
    """A record with these runs, each called by its objective's key and its seed: `reward-0` say."""
    (folder / "histories").mkdir(parents=True)
    about = {}
    rows: list[Mapping[str, object]] = []
    for name, (epochs, attacked) in runs.items():
        objective, seed = name.rsplit("-", 1)
        kept = [{"epoch": epoch} for epoch in sorted({row["epoch"] for row in attacked})]
        about[name] = {
            "objective": objectives[objective],
            "seed": int(seed),
            "status": "succeeded",
            "checkpoints": kept,
        }
        rows += [{"run": name, "selection": "", "masking": "", "n": 1000} | row for row in attacked]
        with (folder / "histories" / f"{name}.csv").open("w", newline="") as file:
            accuracies = ["train_accuracy", "test_accuracy", "test_fgsm_accuracy"]
            history = csv.DictWriter(file, ["epoch", *accuracies, "mean_confidence"])
            history.writeheader()
            history.writerows({"mean_confidence": 0.75} | dict(row) for row in epochs)
    (folder / "about.json").write_text(json.dumps({"runs": about}))
    (folder / "spec.json").write_text(json.dumps({"seeds": sorted({run["seed"] for run in about.values()})}))
    with (folder / "evaluations.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, EVALUATION_COLUMNS)
        table.writeheader()
        table.writerows(rows)
