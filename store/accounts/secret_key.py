"""The installation's own key, under which tokens are hashed: a copy of the database alone is worth no token."""

import os
import secrets
from pathlib import Path

_BYTES = 32
_OWNER_ALONE = 0o600


def read_or_make(file: Path) -> bytes:
    """The key in `file`, made now if nobody has: for its owner alone, and whole or not at all.

    Raises:
        OSError: the file can neither be read nor made.
        ValueError: it holds no key.
    """
    if not file.exists():
        _make(file)
    key = file.read_bytes()
    if len(key) != _BYTES:
        raise ValueError(
            f"The file {file} is no secret key of a Gauntlet: it has {len(key)} bytes instead of {_BYTES}."
        )
    return key


def _make(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ALONE)
    with os.fdopen(descriptor, "wb") as output:
        output.write(secrets.token_bytes(_BYTES))
        output.flush()
        os.fsync(output.fileno())
    try:
        # Of two processes that start at once, one makes the key and both read it.
        os.link(aside, file)
    except FileExistsError:
        pass
    finally:
        aside.unlink()
