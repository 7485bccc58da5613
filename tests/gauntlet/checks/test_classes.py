"""How two lists of classes differ, in a sentence."""

import unicodedata

import pytest

from gauntlet.checks.classes import unlike_classes
from gauntlet.checks.names import listed, shown


def unlike(classes: list[str], others: list[str]) -> str | None:
    return unlike_classes("the checkpoint", classes, "the data set", others)


def test_equal_lists_are_no_matter() -> None:
    """The same names in the same order."""
    assert unlike(["a", "b"], ["a", "b"]) is None


@pytest.mark.parametrize(
    ("classes", "others", "told"),
    [
        (list("abcd"), list("bcde"), "differ: only the checkpoint has a; only the data set has e."),
        (list("abc"), list("ab"), "differ: only the checkpoint has c."),
        (list("ab"), list("abcdefgh"), "differ: only the data set has c, d, e, f, g and 1 more."),
        (["b", "a"], ["a", "b"], "are those of the data set in another order, which is a, b."),
        (["Cat"], ["cat"], "only the data set has cat. Cat and cat differ in case only: rename one."),
        (["a", "a"], ["a", "b"], "differ: only the data set has b."),
    ],
)
def test_what_differs_is_named(classes: list[str], others: list[str], told: str) -> None:
    """A class that only one has, the order, and names that were probably meant to be one."""
    found = unlike(classes, others)
    assert found is not None
    assert found.endswith(told)


def test_a_name_written_in_two_ways_is_explained() -> None:
    """One system writes é as one character, another as two: they look the same and are two folders."""
    names = [unicodedata.normalize(form, "café") for form in ("NFC", "NFD")]
    assert names[0] != names[1]
    assert "other Unicode characters on the two sides (NFC and NFD)" in str(unlike(names[:1], names[1:]))


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("café", "café"),
        (b"caf\xe9".decode("utf-8", "surrogateescape"), r"caf\xe9"),
        ("a\nb\x1b[31m", r"a\nb\x1b[31m"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
    ],
)
def test_a_name_is_shown_as_text(name: str, told: str) -> None:
    """What is not UTF-8, and what would move a terminal's cursor or turn its text around, is escaped."""
    assert shown(name) == told


def test_many_names_are_cut() -> None:
    """The first five, and how many there are besides."""
    assert listed(list("abcde")) == "a, b, c, d, e"
    assert listed(list("abcdefg")) == "a, b, c, d, e and 2 more"
