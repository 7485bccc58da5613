"""The figures that the documents show of experiments are those that were made of the committed records."""

from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("shown", "made"),
    [("paper.svg", "claim/results/main/figures/training.svg"), ("dial-digits.svg", "dial/results/digits.svg")],
)
def test_a_figure_is_the_records_own(shown: str, made: str) -> None:
    assert (_ROOT / "docs" / shown).read_bytes() == (_ROOT / "benchmarks" / made).read_bytes()
