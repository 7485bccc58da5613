"""The names of an archive's entries, checked before anything is written under them."""

import re
import unicodedata

from gauntlet.checks.names import is_text, shown
from gauntlet.data.uploads.bounds import Bounds
from gauntlet.errors import ArchiveRefused

_DRIVE = re.compile(r"[A-Za-z]:")
_LONGEST_NAME = 255


def checked(name: str, bounds: Bounds) -> tuple[str, ...]:
    """The parts of an entry's path; none for the folder that everything lies in. Letters are composed (NFC).

    Raises:
        ArchiveRefused: the path leads elsewhere, is too long or too deep, or a folder on it has no name to be shown.
    """
    if name.startswith("/") or _DRIVE.match(name):
        raise ArchiveRefused(f"The archive holds an absolute path, {_short(name)}: pack it from inside its folder.")
    if len(name) > bounds.longest_path:
        raise ArchiveRefused(f"The archive holds a path of more than {bounds.longest_path} letters: {_short(name)}.")
    parts = tuple(unicodedata.normalize("NFC", part) for part in name.split("/") if part not in ("", "."))
    if ".." in parts:
        raise ArchiveRefused(f"The archive holds a path that leads out of it: {_short(name)}.")
    if len(parts) > bounds.most_depth:
        raise ArchiveRefused(f"The archive holds folders within more than {bounds.most_depth} others: {_short(name)}.")
    for part in parts:
        if "\0" in part or len(part.encode("utf-8", "surrogateescape")) > _LONGEST_NAME:
            raise ArchiveRefused(f"The archive holds a name that no folder can have: {_short(name)}.")
    if not all(map(is_text, parts[:-1])):
        raise ArchiveRefused(
            f"The name of a folder in the archive is not UTF-8 or holds a control character: {_short(name)}. Rename it."
        )
    return parts


def _short(name: str) -> str:
    return shown(name[:100])
