from collections.abc import Iterator

import pytest

from gauntlet.attacks import autoattack
from tests.gauntlet.brief_autoattack import BriefAutoAttack


@pytest.fixture(scope="module")
def brief() -> Iterator[None]:
    """AutoAttack takes few steps."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(autoattack, "AutoAttack", BriefAutoAttack)
        yield
