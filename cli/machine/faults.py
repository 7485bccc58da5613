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
        give_up(f"{masked(database_url)} does not answer: {why}.")
    except BrokenPipeError:
        raise
    except OSError as error:
        give_up(inaccessible(error))
