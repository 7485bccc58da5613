"""Two lists of classes held against each other. A label is a position in a list, so both must be the same."""

import unicodedata
from collections.abc import Sequence

from gauntlet.checks.names import listed

_SHOWN_IN_ORDER = 20


def unlike_classes(owner: str, classes: Sequence[str], other_owner: str, others: Sequence[str]) -> str | None:
    """A sentence that says how two lists of classes differ, or None where they are the same.

    `owner` and `other_owner` say whose they are, such as `the checkpoint`.
    """
    if tuple(classes) == tuple(others):
        return None
    known, there = set(classes), set(others)
    if known == there:
        order = listed(others, _SHOWN_IN_ORDER)
        return f"The classes of {owner} are those of {other_owner} in another order, which is {order}."
    only = [
        f"only {whose} has {listed([name for name in names if name not in rest])}"
        for whose, names, rest in ((owner, classes, there), (other_owner, others, known))
        if any(name not in rest for name in names)
    ]
    told = f"The classes of {owner} and of {other_owner} differ: {'; '.join(only)}."
    return told + _almost_equal(known - there, there - known)


def _almost_equal(left: set[str], right: set[str]) -> str:
    """A remark where names look the same or differ in case only: these are seldom meant."""
    folded = {_folded(name): name for name in right}
    pairs = sorted((name, folded[_folded(name)]) for name in left if _folded(name) in folded)
    if not pairs:
        return ""
    ours, theirs = pairs[0]
    if unicodedata.normalize("NFC", ours) == unicodedata.normalize("NFC", theirs):
        return f" {ours} is written with other Unicode characters on the two sides (NFC and NFD): rename one."
    return f" {ours} and {theirs} differ in case only: rename one."


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
