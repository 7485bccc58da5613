"""`protocol: fast` beside `eps` and `norm` in a request, short for the list of attacks that it names. No torch."""

from collections.abc import Mapping
from typing import Any, Final, Literal, get_args

from pydantic import ValidationError

from gauntlet.spec.evaluations.attacks import spread_budgets
from gauntlet.spec.kinds import faulty_fields

ProtocolName = Literal["screen", "fast"]
# What is asked for by a protocol's name, beyond its kind.
NEWEST: Final[Mapping[str, Mapping[str, int]]] = {"screen": {"version": 3}, "fast": {"version": 3}}
_SHORT: Final[tuple[str, ...]] = ("protocol", "eps", "norm")


def expand_protocol(document: object) -> object:
    """An evaluation's document with its protocol, if it names one, as `attacks`.

    Raises:
        ValidationError: it has attacks beside a protocol, or a protocol without a budget, or a budget by itself.
    """
    if not isinstance(document, Mapping):
        return document
    given = {name: document[name] for name in _SHORT if document.get(name) is not None}
    rest = {name: value for name, value in document.items() if name not in _SHORT}
    if not given:
        return rest
    if faults := _misplaced(given, rest):
        raise faulty_fields(faults)
    name = given.pop("protocol")
    if name not in get_args(ProtocolName):
        return document  # the field of that name says what it takes
    try:
        return rest | {"attacks": spread_budgets([{"kind": name, **NEWEST[name], **given}])}
    except ValidationError as refused:
        # Where the attack stands in the list, and its kind, are no places in this document.
        raise faulty_fields(
            (
                tuple(part for part in fault["loc"][1:] if part != name),
                fault["input"],
                fault["msg"].removeprefix("Value error, "),
            )
            for fault in refused.errors()
        ) from None


def without_attacks(evaluation: Mapping[str, Any], asked: object) -> dict[str, Any]:
    """A preset's evaluation for a request that names a protocol in place of the preset's attacks."""
    named = isinstance(asked, Mapping) and asked.get("protocol") is not None
    return {name: value for name, value in evaluation.items() if not (named and name == "attacks")}


def _misplaced(given: Mapping[str, Any], rest: Mapping[str, Any]) -> list[tuple[tuple[str | int, ...], object, str]]:
    if "protocol" not in given:
        return [
            ((name,), value, f"{name} belongs to a protocol: without one each attack has its own")
            for name, value in given.items()
        ]
    faults: list[tuple[tuple[str | int, ...], object, str]] = []
    if rest.get("attacks") is not None:
        why = "attacks and protocol exclude each other: the protocol may be among the attacks, by its name as the kind"
        faults.append((("attacks",), None, why))
    if "eps" not in given:
        faults.append((("eps",), None, "a protocol needs its budget, such as 8/255"))
    return faults
