"""Whether an experiment came to what its preset is to reproduce."""

import statistics
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from gauntlet.report.report import Report
from gauntlet.report.report_row import ReportRow
from gauntlet.spec.reproductions import Claim, Reproduction

Verdict = Literal["pass", "fail", "open"]


class Judged(BaseModel):
    """A claim beside our number, the mean over seeds of `n` images each; `open` where it was not measured (yet)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    claim: Claim
    ours: float | None
    seeds: int
    n: int
    verdict: Verdict


def judge(report: Report, reproduction: Reproduction) -> tuple[Judged, ...]:
    """Each claim, held against the rows of its objective and selection. A number of an unfinished run is none yet."""
    return tuple(_judged(claim, _rows(report, claim)) for claim in reproduction.claims)


def _rows(report: Report, claim: Claim) -> list[ReportRow]:
    return [row for row in report.rows if (row.objective, row.selection) == (claim.objective, claim.selection)]


def _judged(claim: Claim, rows: Sequence[ReportRow]) -> Judged:
    found = [_accuracy(row, claim) for row in rows]
    measured = [value for value in found if value is not None]
    if not measured:
        return Judged(claim=claim, ours=None, seeds=0, n=0, verdict="open")
    ours = statistics.fmean(measured)
    # Rounded, so that a difference of exactly the tolerance is within it.
    near = round(abs(ours - claim.value), 9) <= claim.tolerance
    return Judged(
        claim=claim,
        ours=ours,
        seeds=len(measured),
        n=min(row.n for row in rows),
        verdict="pass" if near else "fail",
    )


def _accuracy(row: ReportRow, claim: Claim) -> float | None:
    return row.natural_accuracy if claim.accuracy == "natural" else row.accuracies.get(claim.accuracy)
