"""What lists are filtered by."""

from typing import Annotated

import typer

Statuses = Annotated[
    list[str],
    typer.Option("--status", help="Only those that stand so; may be repeated: queued, running, paused, succeeded, …"),
]
