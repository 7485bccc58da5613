"""What is asked for where a token is made."""

import re
from typing import Annotated, Literal

from pydantic import Field

from gauntlet.spec.kinds import Spec
from gauntlet.spec.reading.texts import Label, Matching

Scope = Literal["read", "submit", "admin"]
Owner = Annotated[
    str,
    Field(max_length=100),
    Matching(
        r"^[A-Za-z0-9][A-Za-z0-9._@-]*$",
        'This must be one word of letters, digits, ".", "_", "@" and "-"; the first a letter or a digit.',
    ),
]
_SECONDS = {"h": 3_600, "d": 86_400, "w": 604_800}
_FORM, _WORDS = r"^[1-9][0-9]{0,4}[hdw]$", "This must be a number of hours, days or weeks, such as 12h, 90d or 4w."
Duration = Annotated[str, Matching(_FORM, _WORDS)]


def seconds_of(duration: str) -> float:
    """How long a duration is.

    Raises:
        ValueError: it is none; the message says what it must be.
    """
    if re.fullmatch(_FORM, duration) is None:
        raise ValueError(_WORDS)
    return float(int(duration[:-1]) * _SECONDS[duration[-1]])


class SessionRequest(Spec):
    """The body of `POST /v1/session`."""

    token: Annotated[str, Field(max_length=200)] | None = Field(
        default=None, description="What is exchanged; null where it stands in the header `Authorization`."
    )


class TokenRequest(Spec):
    """The body of `POST /v1/tokens`."""

    owner: Owner
    scope: Scope = Field(
        default="read",
        description="`read` sees everything and classifies images, `submit` asks for work too, `admin` gives and "
        "revokes tokens too.",
    )
    name: Label | None = Field(default=None, description="What it is for.")
    expires: Duration | None = Field(default=None, description="After how long it opens nothing more; null: never.")

    @property
    def expires_in_s(self) -> float | None:
        """The same in seconds."""
        return None if self.expires is None else seconds_of(self.expires)
