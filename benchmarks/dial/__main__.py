"""The dial from reward to cross-entropy: run, measured and judged as PLAN.md says.

    python -m benchmarks.dial                                   # make dial: the digits, on a CPU
    python -m benchmarks.dial --only cifar10 cifar10-early      # on a GPU
    python -m benchmarks.dial --judge                           # nothing is run: the records are judged again

After an interruption, however it came about, the same command finds its experiments again and they go on where they
were. Each experiment's record goes into results/, and after each results/verdict.json and verdict.md are made anew.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.dial.judge import judge
from benchmarks.dial.measurements import KeptCheckpoints
from benchmarks.dial.tables import markdown
from benchmarks.studies.planned import Plan

_DATASETS = ("digits", "cifar10")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, measure and judge."""
    Plan(
        name="dial",
        about=__doc__,
        folder=Path(__file__).parent,
        names=tuple(f"{dataset}{part}" for dataset in _DATASETS for part in ("", "-early")),
        unless_told=("digits", "digits-early"),
        measuring=KeptCheckpoints,
        judge=_judged,
    ).carry_out(arguments)


def _judged(results: Path) -> tuple[Any, str]:
    found = {dataset: judge(results, dataset) for dataset in _DATASETS}
    verdicts = {dataset: verdict for dataset, verdict in found.items() if verdict is not None}
    return {dataset: asdict(verdict) for dataset, verdict in verdicts.items()}, markdown(verdicts)


if __name__ == "__main__":
    main()
