"""The dial's order under other threats, and its controls: run, measured and judged as PLAN.md says.

    python -m benchmarks.carry              # make carry: an hour of two cores
    python -m benchmarks.carry --judge      # nothing is run: the records are judged again

After an interruption, however it came about, the same command finds its experiments again and they go on where they
were. Each experiment's record goes into results/, and after each the verdict (verdict.json, verdict.md) is made anew.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.carry.judge import CELLS, judge
from benchmarks.carry.measurements import Neighbours
from benchmarks.dial.tables import markdown
from benchmarks.studies.planned import Judged, Plan
from benchmarks.studies.record import RENDERINGS


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, measure and judge."""
    Plan(
        name="carry",
        about=__doc__,
        folder=Path(__file__).parent,
        names=CELLS,
        unless_told=CELLS,
        measuring=Neighbours,
        judge=_judged,
        # Of which nothing is read.
        leave_out=RENDERINGS,
    ).carry_out(arguments)


def _judged(results: Path) -> Judged:
    verdicts = judge(results)
    document = {cell: asdict(verdict) for cell, verdict in verdicts.items()}
    return Judged(document, markdown(verdicts, title="The dial carried over, and its controls", attack="MM"))


if __name__ == "__main__":
    main()
