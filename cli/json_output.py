"""What `--json` writes: the service's own values, for scripts."""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer
from pydantic import BaseModel

AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for scripts.")]
Value = BaseModel | Iterable[BaseModel]


def print_json(value: Value | Mapping[str, Value], *, indent: int | None = 2) -> None:
    """Write a value, a list of them, or an object that holds such; on one line where `indent` is None."""
    print_plain(_plain(value), indent=indent)


def print_plain(value: Any, *, indent: int | None = 2) -> None:
    """Write what a command did, where the service has no value for it: plain data."""
    # What other encodings lack would be written out as no JSON is, such as \xe9.
    json.dump(value, sys.stdout, indent=indent, ensure_ascii=sys.stdout.encoding != "utf-8")
    sys.stdout.write("\n")


def _plain(value: Value | Mapping[str, Value]) -> Any:
    match value:
        case BaseModel():
            return value.model_dump(mode="json")
        case Mapping():
            return {key: _plain(item) for key, item in value.items()}
        case _:
            return [item.model_dump(mode="json") for item in value]
