"""The paper's Table 1 in the reading that fits it: run, measured and judged as PLAN.md says.

    python -m benchmarks.claim                       # make reproduce: every experiment of the plan, in its order
    python -m benchmarks.claim --only main early     # some of them
    python -m benchmarks.claim --judge               # nothing is run: the records are judged again

After an interruption, however it came about, the same command finds its experiments again and they go on where they
were. Each experiment's record goes into results/, and after each results/verdict.json and verdict.md are made anew.
`whole` is asked for by its name: it is for a CPU, main asks for that of its first seed.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.claim.judge import judge
from benchmarks.claim.measurements import measurements
from benchmarks.claim.tables import markdown
from benchmarks.studies.planned import Judged, Plan

_ORDER = ("main", "early", "again", "again-early", "batch-64", "batch-256")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, measure and judge."""
    Plan(
        name="claim",
        about=__doc__,
        folder=Path(__file__).parent,
        names=(*_ORDER, "whole"),
        unless_told=_ORDER,
        measuring=measurements,
        judge=_judged,
    ).carry_out(arguments)


def _judged(results: Path) -> Judged:
    verdict = judge(results)
    return Judged(asdict(verdict), markdown(verdict))


if __name__ == "__main__":
    main()
