"""Spans as those tell of them who do the work, and where in a trace each stands.

A place is W3C's `traceparent` in its version 00: trace, span and flags, 55 characters. None of this needs
OpenTelemetry: a job's process hands its spans to its worker, which sends them.
"""

import secrets
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Final

PLACE_LENGTH: Final = 55
# Where a place has the id of its span.
_SPAN_FROM, _SPAN_TO = 36, 52

Attributes = Mapping[str, str | int | float | bool]


@dataclass(frozen=True)
class Span:
    """Something that was done, between two times in seconds since 1970, at `place` below `parent`.

    `error` is the kind of the fault that it ended by, in one word; what a fault says in full is in no span, for it may
    hold what users call their things, and paths.
    """

    name: str
    place: str
    parent: str
    began: float
    ended: float
    attributes: Attributes = field(default_factory=dict)
    error: str | None = None


@dataclass
class Asked:
    """The request that is being answered, as what it queues belongs to its trace.

    `follows` are places in other traces that it goes on with, such as that of a job which it has done again.
    """

    place: str
    follows: list[str] = field(default_factory=list)


ASKED: Final[ContextVar[Asked | None]] = ContextVar("asked", default=None)


def place_asked() -> str | None:
    """The place of the request that is being answered; None where there is none, or traces are off."""
    asked = ASKED.get()
    return None if asked is None else asked.place


def follow(places: Sequence[str | None]) -> None:
    """Note that the request that is being answered goes on with what has these places."""
    asked = ASKED.get()
    if asked is not None:
        asked.follows += [place for place in dict.fromkeys(places) if place is not None]


def below(parent: str, span_id: str | None = None) -> str:
    """A place for a span below another one; with a new id unless it is given (16 hexadecimal digits)."""
    return f"{parent[:_SPAN_FROM]}{span_id or secrets.token_hex(8)}{parent[_SPAN_TO:]}"
