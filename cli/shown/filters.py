"""What lists are filtered by."""

from datetime import datetime, timedelta
from typing import Annotated

import typer

from gauntlet.spec.asked.tokens import seconds_of

Statuses = Annotated[
    list[str],
    typer.Option("--status", help="Only those that stand so; may be repeated: queued, running, paused, succeeded, …"),
]
Within = Annotated[str | None, typer.Option(help="Only as long ago as this: 12h, 90d, 4w.")]


def since(within: str | None) -> datetime | None:
    """The moment so long ago.

    Raises:
        typer.BadParameter: that is no duration.
    """
    if within is None:
        return None
    try:
        return datetime.now().astimezone() - timedelta(seconds=seconds_of(within))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
