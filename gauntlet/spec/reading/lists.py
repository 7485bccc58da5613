"""Lists of a document, which are tuples in a spec: counted before their items are looked at. No torch."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError, core_schema


@dataclass(frozen=True)
class Listed:
    """Annotates a tuple with its least and most items.

    Pydantic by itself looks at every item of a tuple that is too long, and tells what is wrong with each: for a
    megabyte of them it takes seconds, and hundreds of megabytes. `first_fault_only` ends at the first faulty item, for
    long lists of plain values. The items of a `distinct` list are each there once.
    """

    least: int
    most: int
    first_fault_only: bool = False
    distinct: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema: Any = handler(source)
        if schema["type"] != "tuple":
            raise TypeError(f"Listed annotates a tuple, not {source}.")
        if "variadic_item_index" in schema:
            # For the JSON schema; the fixed length of another tuple is in its schema already.
            schema["min_length"], schema["max_length"] = self.least, self.most
            schema["fail_fast"] = self.first_fault_only
        if self.distinct:
            schema = core_schema.no_info_after_validator_function(_each_once, schema)
        return core_schema.no_info_before_validator_function(self._counted, schema)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | ({"uniqueItems": True} if self.distinct else {})

    def _counted(self, value: object) -> object:
        if not isinstance(value, list | tuple):
            return value
        counts = {"field_type": "List", "actual_length": len(value)}
        if len(value) > self.most:
            raise PydanticKnownError("too_long", counts | {"max_length": self.most})
        if len(value) < self.least:
            raise PydanticKnownError("too_short", counts | {"min_length": self.least})
        return tuple(value)


def refuse_duplicates(field: str, values: Sequence[object]) -> None:
    """Raise a ValueError that names `field` if a value occurs in it more than once."""
    if twice := _repeated(values):
        raise ValueError(f"{field} lists {twice} more than once")


def _each_once(values: tuple[object, ...]) -> tuple[object, ...]:
    if twice := _repeated(values):
        raise ValueError(f"This list holds {twice} more than once.")
    return values


def _repeated(values: Sequence[object]) -> str:
    return ", ".join(str(value) for value, count in Counter(values).items() if count > 1)
