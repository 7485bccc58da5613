"""Text from anywhere is stored and logged without passwords, control characters and what UTF-8 cannot hold."""

import pytest

from store.texts import plain


@pytest.mark.parametrize(
    ("text", "fit"),
    [
        ("An epoch of 0.5 s.\n\tAnd another: é, 猫.", "An epoch of 0.5 s.\n\tAnd another: é, 猫."),
        ("Errno 13: '/data/\udcff.png'", "Errno 13: '/data/\\udcff.png'"),
        ("NUL \0, bell \a, escape \x1b[2J, C1 \x9b", "NUL \\x00, bell \\x07, escape \\x1b[2J, C1 \\x9b"),
        ("postgresql://gauntlet:p@ss/w:rd@db:5432/x is away", "postgresql://gauntlet:***@db:5432/x is away"),
        ("redis://:secret@queue:6379/0, redis://queue", "redis://:***@queue:6379/0, redis://queue"),
        ("host=db password=secret user=me", "host=db password=*** user=me"),
        ("https://example.org/a:b", "https://example.org/a:b"),
    ],
)
def test_text_is_made_fit(text: str, fit: str) -> None:
    """What is plain stays as it is; the rest is escaped or masked, and can be encoded."""
    assert plain(text, at_most=200) == fit
    fit.encode()


def test_long_text_is_cut() -> None:
    """To exactly as many characters as there is room for; a password at the cut does not get through."""
    assert plain("é" * 300, at_most=100) == "é" * 98 + " …"
    cut = plain("x" * 60 + " redis://:" + "secret" * 10 + "@queue", at_most=100)
    assert "secret" not in cut
    assert len(plain("\x1b" * 10_000_000, at_most=100)) == 100


def test_a_line_stays_one() -> None:
    """Where one line is asked for a line break is escaped, so that nobody writes lines of their own into a log."""
    assert plain("a name\n2026-11-27 INFO all is well", at_most=200, one_line=True).count("\n") == 0
