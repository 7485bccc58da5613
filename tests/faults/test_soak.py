"""A soak says that all held only where it struck, and where a loss would have been seen."""

import threading
from pathlib import Path

from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database
from store.subjects import experiments
from tests.faults.soak import verdict
from tests.faults.soak.users import Findings
from tests.uploads import packed, receive
from worker.settings import WorkerSettings


def test_what_users_kept_is_missed_and_what_nobody_keeps_is_found(
    sqlite_url: str, tiny_spec: ExperimentSpec, tmp_path: Path
) -> None:
    """Of two experiments and an archive a user keeps one, and another that is gone; the rest nobody was told of."""
    database = Database(sqlite_url)
    with database.writing() as session:
        kept, doubled = (experiments.create(session, tiny_spec, None)[0].id for _ in range(2))
    archive = receive(database, WorkerSettings(home=tmp_path).storage, packed(tmp_path))
    found = verdict.lost_and_doubled(database, {kept, "exp_gone"})
    assert found == {"lost": ["exp_gone"], "doubled_or_not_deleted": sorted([archive, doubled])}
    assert not any(verdict.lost_and_doubled(database, {kept, doubled, archive}).values())
    database.close()


def test_a_soak_that_hardly_struck_has_not_held() -> None:
    """An hour has 180 turns to strike, of which 90 at least are to be used; the shortest has one."""
    assert verdict.too_few_strikes(90, 60, 20) == []
    assert verdict.too_few_strikes(89, 60, 20) == ["89 strikes, of 90 at least"]
    assert verdict.too_few_strikes(0, 0.1, 20) == ["0 strikes, of 1 at least"]


def test_an_answer_500_is_a_finding_and_a_503_is_none() -> None:
    """The service's log has a line of both; users ask again after either."""
    failed = "2026-11-27T10:00:00.123Z ERROR [api] Request 01 failed."
    log = f"""2026-11-27T10:00:00.000Z INFO [api] Listening.
2026-11-27T10:00:00.100Z ERROR [api] The database is unavailable: the server closed the connection.
{failed}
Traceback (most recent call last):
ValueError: no such thing
"""
    assert verdict.faults_of_the_service(log) == [failed, "Traceback (most recent call last):"]


def test_what_ends_a_thread_is_wrong() -> None:
    """Whoever struck, or started anew what died, does so no more."""

    def fail() -> None:
        raise RuntimeError("dictionary changed size during iteration")

    findings = Findings()
    with findings.with_ended_threads():
        thread = threading.Thread(target=fail, name="striker")
        thread.start()
        thread.join()
    (told,) = findings.wrong
    assert told.startswith("The thread striker ended.\n")
    assert told.endswith("RuntimeError: dictionary changed size during iteration\n")
