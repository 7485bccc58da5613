"""The dial from reward to cross-entropy on Fashion-MNIST: run, measured and judged as PLAN.md says.

    python -m benchmarks.fashion            # make fashion: an hour of a core; var/data/fashion has the pictures
    python -m benchmarks.fashion --judge    # nothing is run: the record is judged again

After an interruption, however it came about, the same command finds the experiment again and it goes on where it was.
Its record goes into results/, and the verdict (verdict.json, verdict.md) is made of it. `benchmarks.fashion.pictures`
writes the pictures.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.carry.measurements import Neighbours
from benchmarks.dial.judge import judge
from benchmarks.dial.tables import markdown
from benchmarks.studies.planned import Judged, Plan
from benchmarks.studies.record import RENDERINGS

_NAME = "fashion"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run, measure and judge."""
    Plan(
        name=_NAME,
        about=__doc__,
        folder=Path(__file__).parent,
        names=(_NAME,),
        unless_told=(_NAME,),
        measuring=Neighbours,
        judge=_judged,
        # Of which nothing is read.
        leave_out=RENDERINGS,
    ).carry_out(arguments)


def _judged(results: Path) -> Judged:
    verdict = judge(results, _NAME, attack="mm")
    verdicts = {} if verdict is None else {_NAME: verdict}
    document = {name: asdict(each) for name, each in verdicts.items()}
    return Judged(document, markdown(verdicts, title="The dial on Fashion-MNIST", attack="MM"))


if __name__ == "__main__":
    main()
