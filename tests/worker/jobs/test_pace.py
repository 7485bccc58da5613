"""How long an evaluation still takes: a bound at first, then as its first images went."""

import pytest

from worker.jobs.pace import SparingPace


def test_what_is_left_is_taken_to_fall_as_what_went_before() -> None:
    """Ten images of a pass and two attacks, 3, 200 and 1,800 passes each; two images are enough to go by.

    One of the two falls at once and one to the first attack, so the second attack is spared twice: they take 206 passes
    of 4,006. The other eight would take 16,024 if none fell, and take 824 if they fall as these did.
    """
    pace = SparingPace(0.2)
    total = 10 * 2_003
    assert pace.eta_s(0, total) is None
    pace.note(0.6, 2 * 3, 2 * 3 + 2_000)
    assert pace.eta_s(2_006, total) == pytest.approx(0.1 * (total - 2_006))
    pace.note(20.0, 200, 200 + 1_800)
    assert pace.eta_s(4_006, total) == pytest.approx(0.1 * 824)
    # What others did meanwhile is behind us, too.
    assert pace.eta_s(total, total) == 0


def test_of_images_that_do_not_fall_both_are_the_same() -> None:
    pace = SparingPace(0.5)
    for done in (1_000, 2_000, 3_000):
        pace.note(10.0, 1_000, 1_000)
        assert pace.eta_s(done, 4_000) == pytest.approx(0.01 * (4_000 - done))
