"""An answer's JSON, written in pieces: between two of them others have their turn of Python's lock.

pydantic holds it until all that it was told to write is written: 68 ms of a report of a thousand runs, for which the
loop waits that answers everybody.
"""

from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic import BaseModel, TypeAdapter

# As many as a page of a list has.
_SHORT = 100


class Writer:
    """Writes the values of one type."""

    def __init__(self, kind: Any) -> None:
        self._whole: TypeAdapter[Any] = TypeAdapter(kind)
        self._items = _lists(kind) if isinstance(kind, type) and issubclass(kind, BaseModel) else {}

    def write(self, value: Any) -> bytes:
        """All of it."""
        return b"".join(self.pieces(value))

    def pieces(self, value: Any) -> Iterator[bytes]:
        """The same a piece at a time: what is not long, and each item of the model's long lists, which come last."""
        long = [name for name in self._items if len(getattr(value, name)) > _SHORT]
        if not long:
            yield self._whole.dump_json(value, by_alias=True)
            return
        yield self._whole.dump_json(value, by_alias=True, exclude=set(long)).removesuffix(b"}")
        for name in long:
            before, item = b',"%b":[' % name.encode(), TypeAdapter[Any](self._items[name])
            for each in getattr(value, name):
                yield before + item.dump_json(each, by_alias=True)
                before = b","
            yield b"]"
        yield b"}"


def _lists(model: type[BaseModel]) -> dict[str, Any]:
    """What its lists of any length hold, by their names."""
    found = {}
    for name, field in model.model_fields.items():
        kinds = get_args(field.annotation)
        if get_origin(field.annotation) is list or (get_origin(field.annotation) is tuple and Ellipsis in kinds):
            found[name] = kinds[0]
    return found
