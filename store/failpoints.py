"""Places where a test may end the process; each does nothing.

No setting and no variable of the environment leads there: the tests start processes in which another function stands in
the place of `reach` (`tests/faults`), and each place has a row in their matrix.
"""


def reach(name: str) -> None:
    """Mark a place in the code."""
