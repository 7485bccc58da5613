"""Lists of a document, which are tuples in a spec: counted before their items are looked at. No torch."""

from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError, core_schema


@dataclass(frozen=True)
class Listed:
    """Annotates a tuple with its least and most items.

    Pydantic by itself looks at every item of a tuple that is too long, and tells what is wrong with each: for a
    megabyte of them it takes seconds, and hundreds of megabytes. `first_fault_only` ends at the first faulty item, for
    long lists of plain values.
    """

    least: int
    most: int
    first_fault_only: bool = False

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema: Any = handler(source)
        if schema["type"] != "tuple":
            raise TypeError(f"Listed annotates a tuple, not {source}.")
        if "variadic_item_index" in schema:
            # For the JSON schema; the fixed length of another tuple is in its schema already.
            schema["min_length"], schema["max_length"] = self.least, self.most
            schema["fail_fast"] = self.first_fault_only
        return core_schema.no_info_before_validator_function(self._counted, schema)

    def _counted(self, value: object) -> object:
        if not isinstance(value, list | tuple):
            return value
        counts = {"field_type": "List", "actual_length": len(value)}
        if len(value) > self.most:
            raise PydanticKnownError("too_long", counts | {"max_length": self.most})
        if len(value) < self.least:
            raise PydanticKnownError("too_short", counts | {"min_length": self.least})
        return tuple(value)
