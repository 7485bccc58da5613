from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from gauntlet.spec.eps import PixelEps, format_eps, parse_eps

FIELD = TypeAdapter(PixelEps)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("8/255", Fraction(8, 255)),
        ("0.031", Fraction(31, 1000)),
        (0.031, Fraction(31, 1000)),
        (8 / 255, Fraction("0.03137254901960784")),
        (1e-13, Fraction(1, 10**13)),
        (1e-5, Fraction(1, 100_000)),
        (0, Fraction(0)),
        (1, Fraction(1)),
        ("1", Fraction(1)),
        ("0.5/255", Fraction(1, 510)),
        (Fraction(2, 7), Fraction(2, 7)),
    ],
)
def test_reads_each_notation_exactly(written: object, value: Fraction) -> None:
    """A budget is read as the number it is written as, floats as their decimals."""
    assert parse_eps(written) == value


def test_a_pixel_fraction_is_not_its_rounding() -> None:
    """8/255 and 0.031 are different budgets."""
    assert parse_eps("8/255") != parse_eps("0.031")
    assert parse_eps(0.031) != Fraction(0.031)


REFUSED = [
    -1,
    -0.5,
    Fraction(-1, 255),
    1e-300,
    "0." + "3" * 40 + "/" + "7" * 39,
    "٣/٤",
    "8/0",
    "0/0",
    "-1",
    "-1/255",
    "nan",
    "inf",
    "1e999",
    "1e-3",
    "1" * 100_000,
    "1/" + "2" * 100_000,
    "",
    " 8/255",
    "8/255\n",
    "8//255",
    "8/255/2",
    "1_0",
    ".5",
    "0x1",
    float("nan"),
    float("inf"),
    float("-inf"),
    True,
    False,
    None,
    [8, 255],
    b"8/255",
    Decimal("0.5"),
]


@pytest.mark.parametrize("written", REFUSED, ids=lambda value: repr(value)[:20])
def test_refuses_what_is_no_budget(written: object) -> None:
    """What is not a non-negative finite number in a known notation is a ValueError."""
    with pytest.raises(ValueError, match="eps"):
        parse_eps(written)


@pytest.mark.parametrize("written", [*REFUSED, "9/8", 1.5, 2, -1, -0.5, "256/255"], ids=lambda value: repr(value)[:20])
def test_the_field_refuses_what_is_outside_a_pixel(written: object) -> None:
    """In a spec a budget lies in [0, 1]; anything else is a validation error."""
    with pytest.raises(ValidationError, match="eps"):
        FIELD.validate_python(written)


@pytest.mark.parametrize("payload", ["NaN", "Infinity", "1e999", "-1", "true", "null", '"8/0"', "1.0000001"])
def test_the_field_refuses_json_outside_a_pixel(payload: str) -> None:
    """Read from JSON, the same is refused."""
    with pytest.raises(ValidationError, match="eps"):
        FIELD.validate_json(payload)


@pytest.mark.parametrize(
    ("eps", "text"),
    [
        (Fraction(16, 255), "16/255"),
        (Fraction(8, 255), "8/255"),
        (Fraction(1, 3), "85/255"),
        (Fraction(31, 1000), "0.031"),
        (Fraction(1), "1"),
        (Fraction(0), "0"),
        (Fraction(1, 7), "1/7"),
        (Fraction(1, 10**12), "0.000000000001"),
    ],
)
def test_writes_as_users_do(eps: Fraction, text: str) -> None:
    """255ths where they are whole, else a decimal where it is finite and short, else n/d."""
    assert format_eps(eps) == text


@given(st.integers(1, 10**12 - 1).flatmap(lambda d: st.tuples(st.integers(0, d), st.just(d))))
def test_a_fraction_survives_being_written(parts: tuple[int, int]) -> None:
    """Every n/d in [0, 1] is read back as it was."""
    eps = parse_eps(f"{parts[0]}/{parts[1]}")
    assert eps == Fraction(*parts)
    assert parse_eps(format_eps(eps)) == eps


@given(st.integers(0, 12).flatmap(lambda places: st.tuples(st.integers(0, 10**places), st.just(places))))
def test_a_decimal_survives_being_written(parts: tuple[int, int]) -> None:
    """Every decimal of up to twelve places in [0, 1] is read back as it was, from text and from JSON."""
    number, places = parts
    text = f"{Decimal(number).scaleb(-places):f}"
    eps = parse_eps(text)
    assert eps == Fraction(number, 10**places)
    assert parse_eps(format_eps(eps)) == eps
    assert FIELD.validate_json(FIELD.dump_json(eps)) == eps


def test_the_schema_takes_text_and_numbers() -> None:
    """The field's JSON Schema allows both spellings and shows one."""
    schema = FIELD.json_schema()
    assert {option["type"] for option in schema["anyOf"]} == {"string", "number"}
    assert "8/255" in schema["examples"]


@given(
    st.one_of(
        st.floats(0, 1),
        st.from_regex(r"[0-9]{1,20}(\.[0-9]{1,20})?(/[0-9]{1,20})?", fullmatch=True, alphabet="0123456789./"),
    )
)
def test_whatever_is_read_can_be_written_and_read_again(written: float | str) -> None:
    """No accepted notation leads to a text that is refused."""
    try:
        eps = parse_eps(written)
    except ValueError:
        return
    assert parse_eps(format_eps(eps)) == eps
