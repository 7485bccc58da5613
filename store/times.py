"""Times: seconds since 1970 in the database, aware datetimes outside."""

from datetime import UTC, datetime
from typing import overload


@overload
def as_datetime(seconds: float) -> datetime: ...
@overload
def as_datetime(seconds: None) -> None: ...
def as_datetime(seconds: float | None) -> datetime | None:
    """The moment as an aware UTC datetime; None stays None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def earliest(moment: datetime) -> float:
    """The least seconds that `as_datetime` shows as this aware moment: it rounds to microseconds."""
    return moment.timestamp() - 0.5e-6
