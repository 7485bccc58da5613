"""What is wrong with a document, in plain sentences: pydantic's errors as a reader understands them. No torch.

Whoever shows them, the service or the command, says the same. A sentence may repeat a short piece of the document, as
text of bounded length; it never holds a number that JSON has not, nor what UTF-8 cannot hold.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel

from gauntlet.spec.reading.documents import json_pointer
from gauntlet.spec.reading.places import Place, find_field, find_place, tag_of

MOST_FAULTS = 20
_LONGEST_MESSAGE = 300
_LONGEST_PIECE = 40
_LARGEST_SHOWN = 10**20


class Fault(NamedTuple):
    """A sentence, and the JSON pointer of the field that it is about."""

    pointer: str
    message: str


def faults(found: Sequence[Any], model: type[BaseModel] | None = None) -> list[Fault]:
    """The first `MOST_FAULTS` of pydantic's errors (`ValidationError.errors()`) in a document of that model."""
    told = [error for error in found if not _follows_from_another(error, found)][:MOST_FAULTS]
    places = [find_place(model, error["loc"]) for error in told]
    return [
        Fault(json_pointer(printable(str(part)) for part in place.parts), printable(_sentence(error, place, model)))
        for error, place in zip(told, places, strict=True)
    ]


def nearest(word: str, names: Iterable[object]) -> str | None:
    """The name that was probably meant, if one is like it."""
    known = {str(name).casefold(): str(name) for name in names}
    close = difflib.get_close_matches(word[:_LONGEST_PIECE].casefold(), known, n=1, cutoff=0.7)
    return known[close[0]] if close else None


def no_such(what: str, name: str, names: Sequence[str]) -> str:
    """The sentence for a field or a parameter that is none of those that are known where it stands."""
    close = nearest(name, names)
    if close:
        return f"There is no such {what}; did you mean {close}?"
    return f"There is no such {what}; there {_are(names)}." if names else f"There is no such {what}, nor another."


def unknown(what: str, word: str, names: Sequence[object]) -> str:
    """The sentence for a word that is none of the names that are known where it stands."""
    close = nearest(word, names)
    hint = f" Did you mean {close}?" if close else ""
    return f"There is no {what} {_piece(word)}; there {_are(names)}.{hint}"


def printable(text: str) -> str:
    """The text cut to a bounded length, without what UTF-8 cannot hold."""
    return text[:_LONGEST_MESSAGE].encode("utf-8", "replace").decode()


def _follows_from_another(error: Any, found: Sequence[Any]) -> bool:
    """A list that is too short only because its items are faulty needs no mention of its own."""
    place = error["loc"]
    return error["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in found
    )


def _sentence(error: Any, place: Place, model: type[BaseModel] | None) -> str:  # noqa: C901, PLR0911, PLR0912  # one case for each kind of fault
    given, about = error.get("input"), error.get("ctx", {})
    match error["type"]:
        case "missing":
            return "This field is required."
        case "extra_forbidden":
            return _no_such_field(error["loc"], model)
        case "union_tag_invalid":
            (tag,), tags = _quoted(about["discriminator"]), _quoted(about["expected_tags"])
            word = given[tag] if isinstance(given, Mapping) else about["tag"]
            return unknown(tag, word, tags) if isinstance(word, str) else f"{_needs(tag, tags)}{_not(word)}."
        case "union_tag_not_found":
            (tag,), known = _quoted(about["discriminator"]), filter(None, map(tag_of, place.models))
            return f"{_needs(tag, [value for _, value in known])}."
        case "literal_error":
            return _none_of(given, _quoted(about["expected"]) or [about["expected"]])
        case "value_error" | "faulty_field":
            return str(error["msg"]).removeprefix("Value error, ")
        case "finite_number":
            return "This must be a finite number."
        case "string_unicode":
            return "This text holds half a character (a lone surrogate)."
        case "string_too_long":
            return f"This text may have at most {about['max_length']} characters."
        case "string_too_short":
            return "This text must not be empty."
        case "too_long":
            return f"This list may hold at most {about['max_length']}, and holds {about['actual_length']}."
        case "too_short":
            return f"This list must hold at least {about['min_length']}."
        case kind if kind in _BOUNDS:
            name, words = _BOUNDS[kind]
            return f"This must be {words} {about[name]}{_not(given)}."
        case kind if kind in _WANTED:
            return f"This must be {_WANTED[kind]}{_not(given)}."
        case _:
            return str(error["msg"]).replace("Input should", "This must") + "."


_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}
_WANTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "model_type": "an object with fields of its own",
    "model_attributes_type": "an object with fields of its own",
    "dict_type": "an object with fields of its own",
}


def _no_such_field(location: Sequence[str | int], model: type[BaseModel] | None) -> str:
    *above, name = location
    if model is None:
        return "There is no such field."
    around = find_place(model, above)
    names = list(dict.fromkeys(name for member in around.models for name in member.model_fields))
    elsewhere = find_field(model, str(name))
    if elsewhere is not None:
        return f"There is no such field here; did you mean {'.'.join(elsewhere)}?"
    return no_such("field", str(name), names)


def _none_of(given: object, names: Sequence[object]) -> str:
    close = nearest(given, names) if isinstance(given, str) and len(names) > 1 else None
    return f"This must be {_listed(names, 'or')}{_not(given)}." + (f" Did you mean {close}?" if close else "")


def _needs(tag: str, tags: Sequence[object]) -> str:
    return f"This needs a {tag}: {_listed(tags, 'or')}"


def _not(given: object) -> str:
    """What was given instead, in a few words; nothing where it cannot be said so."""
    match given:
        case None | bool():
            what = "null" if given is None else str(given).lower()
        case str():
            what = f"the text {_piece(given)}"
        case int() | float() if abs(given) < _LARGEST_SHOWN:
            what = str(given)
        case list() | tuple():
            what = "a list"
        case Mapping():
            what = "an object"
        case _:
            return ""
    return f", not {what}"


def _piece(text: str) -> str:
    return f'"{text}"' if len(text) <= _LONGEST_PIECE else f'"{text[:_LONGEST_PIECE]}…"'


def _quoted(names: str) -> list[str]:
    """The names in one of pydantic's lists, such as `'a', 'b' or 'c'`."""
    return re.findall(r"'([^']*)'", names)


def _are(names: Sequence[object]) -> str:
    return f"{'is' if len(names) == 1 else 'are'} {_listed(names)}"


def _listed(names: Sequence[object], joint: str = "and") -> str:
    *first, last = map(str, names)
    return f"{', '.join(first)} {joint} {last}" if first else last
