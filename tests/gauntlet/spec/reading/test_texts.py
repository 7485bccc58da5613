"""How texts of a spec are read and written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gauntlet.spec.reading.texts import exactly


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_written_number_is_that_number(number: float) -> None:
    assert float(exactly(number)) == number


@pytest.mark.parametrize(
    ("number", "written"),
    [(0.0, "0"), (1.0, "1"), (0.25, "0.25"), (1e-3, "0.001"), (1e-5, "1e-05"), (1 / 7, "0.14285714285714285")],
)
def test_it_is_written_as_shortly_as_it_can_be(number: float, written: str) -> None:
    assert exactly(number) == written
