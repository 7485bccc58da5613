"""What keeps a command of the server's machine from working there: its database, or a file."""

from collections.abc import Iterator
from contextlib import contextmanager

from cli.terminal import give_up, inaccessible
from store.texts import masked


@contextmanager
def faults_told(database_url: str) -> Iterator[None]:
    """A database that is away inside the block ends the command with a sentence, and so does a file's OSError."""
    # Imported here, as in up: the commands that only talk to a service start without SQLAlchemy.
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except OperationalError as error:
        why = masked(str(error.orig or error)).strip().partition("\n")[0].rstrip(".")
        told = "cannot be used" if database_url.startswith("sqlite") else "does not answer"
        give_up(f"{masked(database_url)} {told}: {why}.")
    except OSError as error:
        if error.filename is None:
            # Of no file: a pipe that nobody reads, or a machine that has no more processes.
            raise
        give_up(inaccessible(error))
