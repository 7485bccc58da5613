"""How urgent work is, as its owner sees it. No torch."""

from typing import Annotated, Final, Literal, get_args

from pydantic import Field

from gauntlet.spec.kinds import Spec

Priority = Literal["high", "normal", "low"]
# The most urgent first.
PRIORITIES: Final[tuple[Priority, ...]] = get_args(Priority)
GivenPriority = Annotated[
    Priority,
    Field(description="high goes before its owner's other work; low waits for all that is not low, whosever it is."),
]


class PriorityRequest(Spec):
    """Another priority for what has not been started."""

    priority: GivenPriority
