"""What a turn has shown is where the next one goes on."""

from collections import Counter

from tests.faults.__main__ import Tally


def test_a_tally_goes_on_from_what_it_has_shown() -> None:
    """Kills by place and seed, and how many experiments came out the same."""
    tally = Tally(experiments=2, same=2, datasets=1)
    tally.kills[0] += Counter(claimed=2)
    tally.kills[2] += Counter(claimed=1, waking=4)
    again = Tally.of(tally.shown())
    assert again.shown() == tally.shown()
    assert again.shown()["kills"] == 7
    assert again.kills[1]["waking"] == 0
    assert Tally.of(None).shown()["kills"] == 0
