"""The figures that the documents show of experiments are those that were made of the committed records."""

import shutil
from pathlib import Path

import pytest

from benchmarks.claim.__main__ import main

_ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("shown", "made"),
    [("paper.svg", "claim/results/main/figures/training.svg"), ("dial-digits.svg", "dial/results/digits.svg")],
)
def test_a_figure_is_the_records_own(shown: str, made: str) -> None:
    assert (_ROOT / "docs" / shown).read_bytes() == (_ROOT / "benchmarks" / made).read_bytes()


def test_the_claim_judged_again_comes_to_its_verdict(tmp_path: Path) -> None:
    """By the command that docs/experiments.md gives to whoever has no GPU."""
    results = _ROOT / "benchmarks" / "claim" / "results"
    again = tmp_path / "results"
    shutil.copytree(results, again)
    verdict = again / "verdict.md"
    verdict.unlink()
    main(["--judge", "--out", str(again)])
    assert verdict.read_text(encoding="utf-8") == (results / "verdict.md").read_text(encoding="utf-8")
