"""The screen over the reward's parts: run, measured and judged as PLAN.md says.

    python -m benchmarks.parts              # make parts: an hour or two of two cores
    python -m benchmarks.parts --judge      # nothing is run: the records are judged again

After an interruption, however it came about, the same command finds its experiments again and they go on where they
were. Each experiment's record goes into results/, and after each the verdict (verdict.json, verdict.md) is made anew.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.parts.judge import CELLS, judge
from benchmarks.parts.tables import markdown
from benchmarks.studies.asked import AsSpecified
from benchmarks.studies.planned import Judged, Plan
from benchmarks.studies.record import RENDERINGS


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, measure and judge."""
    Plan(
        name="parts",
        about=__doc__,
        folder=Path(__file__).parent,
        names=CELLS,
        unless_told=CELLS,
        measuring=AsSpecified,
        judge=_judged,
        # Of which nothing is read.
        leave_out=RENDERINGS,
    ).carry_out(arguments)


def _judged(results: Path) -> Judged:
    verdict = judge(results)
    return Judged(asdict(verdict), markdown(verdict))


if __name__ == "__main__":
    main()
