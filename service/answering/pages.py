"""Store pages as the API's lists."""

from collections.abc import Callable
from typing import TypeVar

from gauntlet.resources import Page, Resource
from store.shown.pages import PageOf

Row = TypeVar("Row")
T = TypeVar("T", bound=Resource)


def as_page(found: PageOf[Row], show: Callable[[Row], T], cursor: Callable[[Row], object]) -> Page[T]:
    """The page's rows as resources, with the cursor to the next page if there is one."""
    following = str(cursor(found.rows[-1])) if found.has_more else None
    return Page(data=tuple(show(row) for row in found.rows), has_more=found.has_more, next=following)
