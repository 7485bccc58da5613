"""What commands share: the terminal, a client of the service, and how a command gives up."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from client import GauntletClient, GauntletClientError

console = Console()
errors = Console(stderr=True)


@contextmanager
def open_client() -> Iterator[GauntletClient]:
    """A client of the service; what it refuses ends the command with a sentence."""
    try:
        with GauntletClient() as client:
            yield client
    except GauntletClientError as error:
        give_up(str(error))


def give_up(message: str) -> NoReturn:
    """End the command with exit status 1."""
    errors.print(escape(message), style="red")
    raise typer.Exit(1)
