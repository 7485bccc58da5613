"""The perturbation budget `eps`, kept exact.

0.031 and 8/255 are different protocols (one published model's robust accuracies under them are 1.4 points apart), so
`eps` is a `Fraction` from the request to the database and becomes a float only inside an attack.
"""

import math
import re
from fractions import Fraction
from functools import lru_cache
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, WithJsonSchema

_MOST_DIGITS = 40
_NOTATION = re.compile(r"[0-9]{1,40}(\.[0-9]{1,40})?(/[0-9]{1,40})?")
_PIXEL_LEVELS = 255


def parse_eps(value: object) -> Fraction:
    """Read a budget from `"8/255"`, `"0.031"`, a JSON number or a Fraction.

    A float is read as the decimal it is written as: 0.031 is 31/1000, not its binary neighbour.

    Raises:
        ValueError: the value is no finite non-negative number in one of these notations, or has over 40 digits.
    """
    eps = _read(value)
    if eps < 0:
        raise ValueError("eps must not be negative")
    if max(eps.numerator, eps.denominator) >= 10**_MOST_DIGITS:
        raise ValueError(f"eps must not need more than {_MOST_DIGITS} digits")
    return eps


def _read(value: object) -> Fraction:
    if isinstance(value, Fraction):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Fraction(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("eps must be finite")
        return Fraction(repr(value))
    if isinstance(value, str) and _NOTATION.fullmatch(value):
        numerator, _, denominator = value.partition("/")
        if denominator and int(denominator) == 0:
            raise ValueError("eps has a zero denominator")
        return Fraction(numerator) / Fraction(denominator or 1)
    raise ValueError('eps must be a fraction such as "8/255" or a decimal')


@lru_cache(maxsize=4_096)  # a spec of many attacks is written once for each of its runs, and again for each reader
def format_eps(eps: Fraction) -> str:
    """Write a budget as users do: in 255ths if it is a whole number of pixel levels, else decimal, else n/d.

    `parse_eps(format_eps(x)) == x` for every x that `parse_eps` can return.
    """
    if _PIXEL_LEVELS % eps.denominator == 0 and eps.denominator != 1:
        return f"{eps.numerator * (_PIXEL_LEVELS // eps.denominator)}/{_PIXEL_LEVELS}"
    for digits in range(_MOST_DIGITS + 1):
        scaled, rest = divmod(eps.numerator * 10**digits, eps.denominator)
        if rest == 0:
            written = str(scaled).zfill(digits + 1)
            return f"{written[:-digits]}.{written[-digits:]}" if digits else written
    return f"{eps.numerator}/{eps.denominator}"


# In L2 the farthest corner of the largest image is closer than this.
_LARGEST = 1_000


def _within_any_image(eps: Fraction) -> Fraction:
    if not 0 <= eps <= _LARGEST:
        raise ValueError(f"eps must lie in [0, {_LARGEST}]")
    return eps


def _within_pixel_range(eps: Fraction) -> Fraction:
    if eps > 1:
        raise ValueError(f"eps must lie in [0, 1], the range of a pixel{in_levels(eps)}")
    return eps


def in_levels(eps: Fraction) -> str:
    """The question to whoever wrote a budget in pixel levels, such as 8 for 8/255."""
    return f"; did you mean {eps}/{_PIXEL_LEVELS}?" if eps.denominator == 1 and eps <= _PIXEL_LEVELS else ""


def _schema(largest: int, what: str) -> WithJsonSchema:
    return WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": rf"^{_NOTATION.pattern}$"},
                {"type": "number", "minimum": 0, "maximum": largest},
            ],
            "description": f'{what}, exact: "8/255" or a decimal.',
            "examples": ["8/255"],
        }
    )


_SERIALIZER = PlainSerializer(format_eps, return_type=str)

PixelEps = Annotated[
    Fraction,
    BeforeValidator(parse_eps),
    AfterValidator(_within_pixel_range),
    _SERIALIZER,
    _schema(1, "L∞ budget in [0, 1]"),
]
Eps = Annotated[
    Fraction,
    BeforeValidator(parse_eps),
    AfterValidator(_within_any_image),
    _SERIALIZER,
    _schema(_LARGEST, "Budget in the attack's norm"),
]
