"""Cursor pages: ids sort by creation, so the last id of a page is the cursor to the next."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import Session

Row = TypeVar("Row")


@dataclass(frozen=True)
class PageOf(Generic[Row]):
    """Some rows, and whether more follow."""

    rows: Sequence[Row]
    has_more: bool


def newest_first(session: Session, query: Select[Row], key: Any, *, after: str | int | None, limit: int) -> PageOf[Row]:
    """The `limit` rows of `query` that come after the cursor, by descending `key`."""
    if after is not None:
        query = query.where(key < after)
    return _cut(session.scalars(query.order_by(key.desc()).limit(limit + 1)).all(), limit)


def oldest_first(session: Session, query: Select[Row], key: Any, *, after: int | None, limit: int) -> PageOf[Row]:
    """The `limit` rows of `query` that come after the cursor, by ascending `key`."""
    if after is not None:
        query = query.where(key > after)
    return _cut(session.scalars(query.order_by(key).limit(limit + 1)).all(), limit)


def _cut(rows: Sequence[Row], limit: int) -> PageOf[Row]:
    return PageOf(rows[:limit], len(rows) > limit)
