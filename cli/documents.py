"""Specs and cards that a command is given, and what a service finds wrong with them, told where it stands."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from pydantic import BaseModel

from cli.connection import refusals_told
from cli.terminal import give_up
from gauntlet.errors import DocumentInvalid
from gauntlet.spec.asked.requests import ExperimentRequest
from gauntlet.spec.presets import PRESETS
from gauntlet.spec.reading.files import SpecFile, read_file


def read_spec(source: str) -> SpecFile:
    """The spec in a file, or that of a preset by its name; ends the command with a sentence where there is neither."""
    path = Path(source)
    if path.exists() or path.suffix or os.sep in source:
        return read(path, ExperimentRequest)
    if source not in PRESETS:
        give_up(f"There is no preset {source} and no file of that name; the presets are {' and '.join(PRESETS)}.")
    return SpecFile(path, {"preset": source}, {})


def read(path: Path, kind: type[BaseModel]) -> SpecFile:
    """What a file holds; ends the command with a sentence where it cannot be read."""
    try:
        return read_file(path, kind)
    except DocumentInvalid as error:
        give_up(str(error))


@contextmanager
def told_where_it_stands(
    file: SpecFile, within: str = "", others: Mapping[str, Path] = MappingProxyType({})
) -> Iterator[None]:
    """What the service refuses inside the block ends the command, each fault with its line in the file.

    `within` is the request's field that holds the document, and `others` are files by the fields that hold them.
    """

    def tell(pointer: str, message: str) -> str:
        if pointer.startswith(within):
            return file.tell(pointer.removeprefix(within), message)
        return f"{others.get(pointer, pointer)}: {message}"

    with refusals_told(tell):
        yield
