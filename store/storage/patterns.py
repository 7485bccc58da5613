"""Which of a store's objects a pattern of paths finds, as a file system's `glob` would."""

from collections.abc import Mapping
from fnmatch import fnmatchcase


def matching(names: Mapping[str, float], pattern: str) -> dict[str, float]:
    """The paths of files and folders that look so, in their order, each with when it was written last.

    `names` are all objects, or more, that begin as the pattern does, with when each was written; a folder was written
    to with the last of what lies below it.
    """
    parts = pattern.split("/")
    found: dict[str, float] = {}
    for name, written in sorted(names.items()):
        above = name.split("/")
        if len(above) >= len(parts) and all(map(fnmatchcase, above, parts)):
            path = "/".join(above[: len(parts)])
            found[path] = max(written, found.get(path, written))
    return found
