"""What `--json` writes: the service's own values, for scripts."""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer
from pydantic import BaseModel

AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for scripts.")]
Value = BaseModel | Iterable[BaseModel]


def print_json(value: Value | Mapping[str, Value]) -> None:
    """Write a value, a list of them, or an object that holds such."""
    print_plain(_plain(value))


def print_plain(value: Any) -> None:
    """Write what a command did, where the service has no value for it: plain data."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def _plain(value: Value | Mapping[str, Value]) -> Any:
    match value:
        case BaseModel():
            return value.model_dump(mode="json")
        case Mapping():
            return {key: _plain(item) for key, item in value.items()}
        case _:
            return [item.model_dump(mode="json") for item in value]
