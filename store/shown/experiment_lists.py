"""Experiments found by what they are called, whose they are, how they stand and when they were made, in any order.

A page is found in an index alone, whatever is looked for; then its rows are read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Select, select, tuple_
from sqlalchemy.orm import Session

from gauntlet.resources import Status
from store.models import Experiment, ExperimentLabel
from store.shown.pages import PageOf, cut
from store.times import earliest

Order = Literal["created_at", "-created_at", "name", "-name", "status", "-status"]
NEWEST_FIRST: Final[Order] = "-created_at"
# Ids sort by creation.
_COLUMNS: Final[dict[str, Any]] = {
    "created_at": Experiment.id,
    "name": Experiment.name_folded,
    "status": Experiment.status,
}
# The id of a page's last row, and the value it was sorted by: so a cursor stays where it is if that changes.
CURSOR_PATTERN: Final = r"^[a-z]+_[0-9a-z]+(\.([0-9a-f]{2})*)?$"


@dataclass(frozen=True)
class Wanted:
    """What the experiments of a list have: one of the statuses, all of the labels, the name's part in any case.

    They were made at `since` or later, and before `until`; both moments are aware.
    """

    statuses: Sequence[Status] = ()
    owner: str | None = None
    labels: Sequence[str] = ()
    name: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def page(
    session: Session, wanted: Wanted, *, order: Order = NEWEST_FIRST, after: str | None, limit: int
) -> PageOf[Experiment]:
    """The experiments that come after the cursor; equals in the order are told apart by their id."""
    found = session.scalars(identifiers(wanted, order=order, after=after).limit(limit + 1)).all()
    rows = {row.id: row for row in session.scalars(select(Experiment).where(Experiment.id.in_(found)))}
    return cut([rows[identifier] for identifier in found], limit, _parts)


def _parts(row: Experiment) -> int:
    return len(row.spec["objectives"]) + len(row.spec["evaluation"]["attacks"])


def identifiers(wanted: Wanted, *, order: Order, after: str | None) -> Select[str]:
    """The statement that finds the ids in their order."""
    query = select(Experiment.id)
    if wanted.statuses:
        one = len(wanted.statuses) == 1
        query = query.where(Experiment.status == wanted.statuses[0] if one else Experiment.status.in_(wanted.statuses))
    if wanted.owner is not None:
        query = query.where(Experiment.owner == wanted.owner)
    for label in wanted.labels:
        labelled = select(ExperimentLabel.experiment_id).where(ExperimentLabel.label == label)
        query = query.where(Experiment.id.in_(labelled))
    if wanted.name is not None:
        query = query.where(Experiment.name_folded.contains(wanted.name.casefold(), autoescape=True))
    if wanted.since is not None:
        query = query.where(Experiment.created_at >= earliest(wanted.since))
    if wanted.until is not None:
        query = query.where(Experiment.created_at < earliest(wanted.until))
    column, descending = _COLUMNS[order.lstrip("-")], order.startswith("-")
    keys = [Experiment.id] if column is Experiment.id else [column, Experiment.id]
    if after is not None:
        last = _position(after, by_id=column is Experiment.id)
        query = query.where(tuple_(*keys) < tuple_(*last) if descending else tuple_(*keys) > tuple_(*last))
    return query.order_by(*(key.desc() if descending else key for key in keys))


def cursor(row: Experiment, order: Order) -> str:
    """Where a page that ends with that row ends."""
    column = _COLUMNS[order.lstrip("-")]
    return row.id if column is Experiment.id else f"{row.id}.{getattr(row, column.key).encode().hex()}"


def is_cursor_of(order: Order, text: str) -> bool:
    """Whether a cursor was given for a list in that order: by an id alone, or by a value too."""
    return ("." in text) is (_COLUMNS[order.lstrip("-")] is not Experiment.id)


def _position(after: str, *, by_id: bool) -> tuple[str, ...]:
    identifier, _, value = after.partition(".")
    # Whoever made one up gets some page.
    said = bytes.fromhex(value).decode(errors="replace").replace("\0", "")
    return (identifier,) if by_id else (said, identifier)
