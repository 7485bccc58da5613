"""Names of files and classes as a sentence may hold them."""

import unicodedata
from collections.abc import Sequence

_SHOWN = 5


def is_text(name: str) -> bool:
    """Whether a name can be kept and shown: UTF-8, and without control characters."""
    return not any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in name)


def shown(name: str) -> str:
    r"""A file's name for a sentence: what is not UTF-8 in it, or not seen, as escapes such as `\xe9`."""
    # A name that is not UTF-8 comes from the system with its bytes as lone surrogates.
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def listed(names: Sequence[str], most: int = _SHOWN) -> str:
    """The names separated by commas; of many the first, and how many more there are."""
    rest = len(names) - most
    return ", ".join(map(shown, names[:most])) + (f" and {rest} more" if rest > 0 else "")


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Such as `1 image` and `1,437 images`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"
