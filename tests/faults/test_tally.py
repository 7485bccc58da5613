"""What a turn has shown is where the next one goes on, until each place was tried with each seed."""

from collections import Counter

from tests.faults.matrix import OF_EXPERIMENTS, OF_HELPERS
from tests.faults.places import all_places
from tests.faults.tally import Tally


def test_a_tally_goes_on_from_what_it_has_shown() -> None:
    """Kills by place and seed, and how much came out the same; a file that has no evaluations yet has none."""
    tally = Tally(experiments=2, same=2, datasets=1, helped=3)
    tally.kills[0] += Counter(claimed=2)
    tally.kills[2] += Counter(claimed=1, waking=4)
    shown = tally.shown()
    again = Tally.of(shown)
    assert again.shown() == shown
    assert again.all() == 7
    assert [again.untried(seed, ("claimed", "waking")) for seed in range(3)] == [["waking"], ["claimed", "waking"], []]
    del shown["helped_evaluations"]
    assert Tally.of(shown).helped == 0
    assert Tally.of(None).all() == 0


def test_a_whole_matrix_has_every_place() -> None:
    """A place that neither experiments nor helpers are ended at would be missed by no file."""
    assert set(OF_EXPERIMENTS) | set(OF_HELPERS) == set(all_places())
