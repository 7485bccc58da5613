"""Packages that few need: each comes with an extra of Gauntlet's, and is imported where it is used."""

from collections.abc import Iterator
from contextlib import contextmanager

from gauntlet.errors import PackageMissing


@contextmanager
def needed(extra: str, purpose: str) -> Iterator[None]:
    """Around an import: says which extra brings what is not there.

    Args:
        extra: as pyproject.toml calls it, such as `rl`.
        purpose: what cannot be done without, at the beginning of a sentence.

    Raises:
        PackageMissing: a package that the block imports is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise PackageMissing(
            f"{purpose} needs the package {error.name}, which is not there: pip install 'gauntlet[{extra}]' brings it."
        ) from error
