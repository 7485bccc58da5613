"""The dial from reward to cross-entropy: run, measured and judged as PLAN.md says.

    python -m benchmarks.dial                                   # make dial: the digits, on a CPU
    python -m benchmarks.dial --only cifar10 cifar10-early      # on a GPU
    python -m benchmarks.dial --judge                           # nothing is run: the records are judged again

After an interruption, however it came about, the same command finds its experiments again and they go on where they
were. Each experiment's record goes into results/, and after each the verdict (verdict.json, verdict.md, and a figure
for each data set) is made anew.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.dial.figure import figure
from benchmarks.dial.judge import judge
from benchmarks.dial.measurements import KeptCheckpoints
from benchmarks.dial.tables import markdown
from benchmarks.studies.planned import Judged, Plan

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
        # Half a megabyte, of which nothing is read.
        leave_out=("report.html", "report.tex", "report.json"),
    ).carry_out(arguments)


def _judged(results: Path) -> Judged:
    found = {dataset: judge(results, dataset) for dataset in _DATASETS}
    verdicts = {dataset: verdict for dataset, verdict in found.items() if verdict is not None}
    drawn = {f"{dataset}.svg": figure(dataset, verdict) for dataset, verdict in verdicts.items()}
    figures = {name: svg for name, svg in drawn.items() if svg is not None}
    document = {dataset: asdict(verdict) for dataset, verdict in verdicts.items()}
    return Judged(document, markdown(verdicts), figures)


if __name__ == "__main__":
    main()
