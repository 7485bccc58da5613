"""The library's promised names, with their signatures and docstrings."""

from collections.abc import Iterator
from inspect import isclass
from typing import Any, Final

from pydantic import BaseModel

import gauntlet

# What a class of values brings from where it comes.
_NOT_OURS: Final = ", ".join(sorted(name for name in dir(BaseModel) if not name.startswith("_")))


def as_markdown() -> str:
    """A directive for each, in the order of `gauntlet.__all__`."""
    lines = ["```{eval-rst}", ".. currentmodule:: gauntlet"]
    for name in gauntlet.__all__:
        lines += ["", *_directive(name, getattr(gauntlet, name))]
    return "\n".join([*lines, "```"])


def _directive(name: str, found: Any) -> Iterator[str]:
    if not isclass(found):
        yield f".. auto{'function' if callable(found) and hasattr(found, '__code__') else 'data'}:: {name}"
        return
    # A spec's or a report's fields are another page's subject, and would fill this one.
    if not issubclass(found, BaseModel):
        yield f".. autoclass:: {name}"
        yield "   :members:"
    else:
        yield f".. autoclass:: {name}(**fields)"
        yield "   :members:"
        yield f"   :exclude-members: {', '.join([_NOT_OURS, *found.model_fields])}"
