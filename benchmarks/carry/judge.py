"""The judgement that PLAN.md describes: the dial's own in each cell, and what is corrected over more than one."""

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path

from benchmarks.dial.judge import Verdict
from benchmarks.dial.judge import judge as judge_cell
from gauntlet.results.intervals import holm

CELLS = ("fgsm", "l2", "pgd")
# The question is of these two; the first is what they are carried over from.
_CARRIED = ("l2", "pgd")
_TRENDS = 2


def judge(results: Path) -> dict[str, Verdict]:
    """Judge the records of the cells below `results`, those left out that have none of cross-entropy."""
    found = {cell: judge_cell(results, cell, attack="mm") for cell in CELLS}
    return corrected({cell: verdict for cell, verdict in found.items() if verdict is not None})


def corrected(verdicts: Mapping[str, Verdict]) -> dict[str, Verdict]:
    """The same with the trends of the plan's two cells adjusted for all four, whether they are decided or not."""
    tests = list(product(_CARRIED, range(_TRENDS)))
    ps = [verdicts[cell].trends[place].p if cell in verdicts else None for cell, place in tests]
    adjusted = dict(zip(tests, holm([1.0 if p is None else p for p in ps]), strict=True))
    return {
        cell: verdict
        if cell not in _CARRIED
        else replace(
            verdict,
            trends=tuple(
                one if one.p is None else replace(one, adjusted_p=adjusted[cell, place])
                for place, one in enumerate(verdict.trends)
            ),
        )
        for cell, verdict in verdicts.items()
    }
