"""Rounds go on whatever becomes of one of them."""

import pytest
from sqlalchemy.exc import OperationalError

from tests.e2e.system import await_that
from worker.beside.rounds import Rounds


@pytest.mark.parametrize("error", [OperationalError("SELECT 1", {}, Exception("away")), ValueError("a mistake")])
def test_a_round_that_fails_is_not_the_last(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """A database that is away and a mistake of our own are logged, and the next round comes."""
    done: list[int] = []

    def work() -> None:
        done.append(len(done))
        if len(done) == 1:
            raise error

    thread = Rounds("inspector", work, every_s=0.01)
    thread.start()
    await_that(lambda: len(done) >= 3)
    thread.stop()
    thread.join()
    assert "inspector" in caplog.text


def test_the_first_round_may_come_at_once() -> None:
    """Whoever has to be heard of does not wait for the first one."""
    done: list[int] = []
    thread = Rounds("herald", lambda: done.append(1), every_s=3_600, at_once=True)
    thread.start()
    await_that(lambda: len(done) == 1)
    thread.stop()
    thread.join()
