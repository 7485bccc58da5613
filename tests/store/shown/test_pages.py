"""Pages are cut by the number of rows, and by what is in them."""

from collections.abc import Sequence

import pytest

from store.shown.pages import MOST_PARTS, PageOf, cut


@pytest.mark.parametrize(
    ("rows", "shown"),
    [
        ([1, 1, 1, 1], 3),
        ([1, 1, 1], 3),
        ([MOST_PARTS - 1, 1, 1], 2),
        ([MOST_PARTS, 1], 1),
        ([9 * MOST_PARTS, 1], 1),
        ([9 * MOST_PARTS], 1),
        ([], 0),
    ],
)
def test_a_page_holds_so_many_parts(rows: Sequence[int], shown: int) -> None:
    """Or one row at least, of three that are asked for; and it says whether more follow."""
    found = cut(rows, 3, lambda row: row)
    assert found == PageOf(rows[:shown], len(rows) > shown)


def test_without_parts_rows_alone_count() -> None:
    """However large they are."""
    assert cut([9 * MOST_PARTS] * 4, 3) == PageOf([9 * MOST_PARTS] * 3, True)
