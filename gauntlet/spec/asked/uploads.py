"""What is said of an archive of pictures where it is uploaded."""

from typing import Annotated

from pydantic import Field

from gauntlet.spec.kinds import Spec

MOST_SEED = 2**31 - 1
TestFraction = Annotated[float, Field(gt=0, lt=1)]
DrawSeed = Annotated[int, Field(ge=0, le=MOST_SEED)]


class SplitDraw(Spec):
    """Class folders are to be split: of each class this share of its pictures is for test.

    Which ones follows from the pictures' contents and the seed alone.
    """

    test_fraction: TestFraction
    seed: DrawSeed = 0
