"""Finding a row by the id a user gave."""

import re
from typing import TypeVar

from sqlalchemy.orm import Session
from sqlalchemy.orm.interfaces import ORMOption

from store.errors import NotFound
from store.models import Base

Row = TypeVar("Row", bound=Base)

# Checked before it reaches the database: PostgreSQL refuses a text with NUL in it with an error.
ID_PATTERN = r"^[a-z]+_[0-9a-z]+$"


def find(
    session: Session, model: type[Row], kind: str, identifier: str, *options: ORMOption, anew: bool = False
) -> Row:
    """The row with that id; read `anew` as it is by now, where it was seen before in this transaction.

    Raises:
        NotFound: there is none; `kind` is what its message calls it.
    """
    row = session.get(model, identifier, options=options, populate_existing=anew) if is_id(identifier) else None
    if row is None:
        raise NotFound(kind, identifier)
    return row


def is_id(text: str) -> bool:
    """Whether that could be a row's id."""
    return re.match(ID_PATTERN, text) is not None
