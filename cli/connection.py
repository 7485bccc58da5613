"""A client of the service for a command, and what becomes of what the service does not grant."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cli.terminal import FAILED, UNANSWERED, give_up, inaccessible
from gauntlet.client import GauntletClient, GauntletClientError, Refused, Unintelligible, Unreachable

# Of fields that are called otherwise than the options or arguments that say them.
_OPTIONS = {
    "attacks": "attack",
    "checkpoint": "CHECKPOINT",
    "checkpoints": "CHECKPOINT",
    "kind": "attack",
    "labels": "label",
    "sigma": "smoothing",
}


@contextmanager
def open_client() -> Iterator[GauntletClient]:
    """A client of the service; what it refuses ends the command with a sentence, and so does a file's OSError."""
    try:
        with GauntletClient() as client:
            yield client
    except GauntletClientError as error:
        give_up(str(error), UNANSWERED if isinstance(error, Unreachable | Unintelligible) else FAILED)
    except BrokenPipeError:
        # Whoever reads what the command writes, such as head, has enough: its own library ends it quietly.
        raise
    except OSError as error:
        give_up(inaccessible(error))


@contextmanager
def refusals_told(tell: Callable[[str, str], str]) -> Iterator[None]:
    """What the service refuses inside the block ends the command, a line for each fault, the same one once.

    Args:
        tell: makes the line of a fault's JSON pointer in the request and its message.
    """
    try:
        yield
    except Refused as error:
        if not error.problem.errors:
            raise
        lines = dict.fromkeys(tell(fault.pointer, fault.message) for fault in error.problem.errors)
        give_up("\n".join(lines))


def by_option(pointer: str, message: str) -> str:
    """A fault with the option that it is of, such as `--eps` for `/attacks/0/eps`."""
    *around, field = re.sub(r"/\d+$", "", pointer).split("/")
    option = f"keep-{field}" if around[-1:] == ["keep"] else _OPTIONS.get(field, field)
    named = option if option.isupper() else f"--{option.replace('_', '-')}"
    return f"{named}: {message}" if field.isidentifier() else message
