"""Texts of a certain form, with the sentence that says which. No torch."""

import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True)
class Matching:
    """Annotates a text that a pattern must match as a whole; `words` tells whoever wrote another what it must be."""

    pattern: str
    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        compiled = re.compile(self.pattern)

        def check(text: str) -> str:
            if compiled.fullmatch(text) is None:
                raise ValueError(self.words)
            return text

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return handler(schema) | {"pattern": self.pattern}


def exactly(number: float) -> str:
    """A number as people write it, such as `0.25` or `1e-05`, with all the digits that tell it from another."""
    short = f"{number:g}"
    return short if float(short) == number else repr(number)


CheckpointId = Annotated[
    str,
    Field(max_length=40),
    Matching(r"^ckpt_[0-9a-z]+$", "This must be the id of a checkpoint: ckpt_, and small letters and digits."),
]
ExperimentId = Annotated[
    str,
    Field(max_length=40),
    Matching(r"^exp_[0-9a-z]+$", "This must be the id of an experiment: exp_, and small letters and digits."),
]
DatasetId = Annotated[
    str,
    Field(max_length=40),
    Matching(r"^dset_[0-9a-z]+$", "This must be the id of an uploaded data set: dset_, and small letters and digits."),
]
# One folder below the data root; never a path.
FOLDER_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
FolderName = Annotated[
    str,
    Field(max_length=100),
    Matching(
        FOLDER_NAME,
        'This must be the name of one folder, of letters, digits, ".", "_" and "-"; the first a letter or a digit.',
    ),
]
# What a package of a team's own calls a network, and the parameters of its builder.
NetworkName = Annotated[
    str,
    Field(max_length=80),
    Matching(
        r"^[A-Za-z_][A-Za-z0-9_.-]{0,79}$",
        'This must be a name of letters, digits, ".", "_" and "-"; the first a letter or "_".',
    ),
]
_NO_CONTROLS = "This text must not hold line breaks, tabs or other control characters."
# Printable in every database, terminal and page (PostgreSQL refuses NUL in JSON).
Label = Annotated[str, Field(min_length=1, max_length=200), Matching(r"^[^\x00-\x1f\x7f]+$", _NO_CONTROLS)]
Source = Annotated[str, Field(max_length=500), Matching(r"^[^\x00-\x1f\x7f]*$", _NO_CONTROLS)]
_HIDDEN = r"\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069"
# Stands in tables of every kind, and is part of many lines.
ObjectiveLabel = Annotated[
    str,
    Field(min_length=1, max_length=80),
    Matching(
        rf"^[^\s{_HIDDEN}]([^{_HIDDEN}]*[^\s{_HIDDEN}])?$",
        "This must be one line of visible text, without blanks around it or marks that turn its direction.",
    ),
]
