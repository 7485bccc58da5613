"""Quotas: what counts for whom, and that two requests at once cannot both be the last."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from gauntlet.spec.evaluations.evaluation import EvaluationRequest
from gauntlet.spec.experiment import ExperimentSpec
from store.accounts.quotas import Allowance, Quotas, Used, used
from store.database import Database, db_now
from store.errors import QuotaExceeded
from store.models import Run, Upload, new_id
from store.queue import jobs
from store.storage import StoredFile
from store.subjects import checkpoints, evaluation_requests, experiments, runs
from tests.evaluations import FGSM, card, imported
from tests.store.recorded import EPOCHS, train

DAY_S = 86_400


def use(database: Database, owner: str | None) -> Used:
    with database.reading() as session:
        return used(session, owner)


def test_what_an_owner_has_is_counted(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Jobs that have not ended, and the bytes of weights and of states that are still there; nobody else's."""
    with database.writing() as session:
        _, (run, other) = experiments.create(session, tiny_spec.model_copy(update={"seeds": (0, 1)}), None, owner="ada")
        experiments.create(session, tiny_spec, None, owner="bob")
        experiments.create(session, tiny_spec, None)
        held = jobs.claim(session, "run", run, "worker", 60)
    assert held is not None
    assert use(database, "ada") == Used(2, 0, 0)
    # Four epochs, two checkpoints of 10 bytes, and the last state of 10.
    train(database, tiny_spec, held, range(1, EPOCHS + 1))
    assert use(database, "ada") == Used(2, 30, 0)
    with database.writing() as session:
        runs.complete(session, held)
    # The state is gone with the training, and an evaluation waits in its place.
    assert use(database, "ada") == Used(2, 20, 0)
    with database.writing() as session:
        session.execute(update(Run).where(Run.id == other).values(status="paused", resume_path="p", resume_bytes=7))
    assert use(database, "ada") == Used(2, 27, 0)
    with database.writing() as session:
        runs.cancel(session, other)
        runs.forget_states_of_ended(session, older_than_s=-1)
    assert use(database, "ada") == Used(1, 20, 0)
    assert (use(database, "bob"), use(database, None), use(database, "eve")) == (
        Used(1, 0, 0),
        Used(1, 0, 0),
        Used(0, 0, 0),
    )


def test_jobs_past_a_quota_are_refused_with_the_numbers(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Until some have ended; as many at once as never fit are refused for good."""
    three = tiny_spec.model_copy(update={"seeds": (0, 1, 2)})

    def submit(quota: int, owner: str | None = "ada") -> None:
        with database.writing() as session:
            _, waiting = experiments.create(session, three, None, owner=owner)
            Allowance(Quotas(jobs=quota), owner).require_jobs(session, len(waiting))

    submit(3)
    submit(0)
    submit(9)
    with pytest.raises(QuotaExceeded, match="9 jobs of ada have not ended, and this asks for 3 more; 11 are") as full:
        submit(11)
    assert full.value.retry_after_s is not None
    with pytest.raises(QuotaExceeded, match="This asks for 3 jobs, and 2 are allowed that have not ended") as never:
        submit(2, "bob")
    assert never.value.retry_after_s is None
    submit(3, None)
    with pytest.raises(QuotaExceeded, match="3 jobs without an owner have not ended"):
        submit(5, None)
    assert [use(database, owner).jobs for owner in ("ada", "bob", None)] == [9, 0, 3]


def bring(session: Session, allowance: Allowance, size: int) -> None:
    weights = StoredFile("path", "0" * 64, size)
    checkpoints.add_imported(session, new_id("ckpt"), card("theirs"), weights, owner=allowance.owner)
    allowance.take_upload(session)
    allowance.require_bytes(session)


def test_bytes_past_a_quota_are_refused_with_the_numbers(database: Database) -> None:
    """Exactly as many as are allowed fit; what is refused leaves nothing."""
    allowance = Allowance(Quotas(bytes=5_000), "ada")
    for size in (2_000, 3_000):
        with database.writing() as session:
            bring(session, allowance, size)
    told = "of ada would take 5,001 bytes, and 5,000 are"
    with pytest.raises(QuotaExceeded, match=told) as full, database.writing() as session:
        bring(session, allowance, 1)
    assert full.value.retry_after_s is None
    with database.reading() as session:
        allowance.require_room(session)
    assert use(database, "ada") == Used(0, 5_000, 2)


def test_uploads_are_counted_for_a_day(database: Database) -> None:
    """Whether or not what was brought is still there; the answer says when the oldest is a day old."""
    allowance = Allowance(Quotas(uploads_a_day=2), "ada")

    def refusal() -> QuotaExceeded:
        told = "2 uploads of ada came within a day, and 2 are allowed"
        with pytest.raises(QuotaExceeded, match=told) as full, database.writing() as session:
            allowance.take_upload(session)
        with pytest.raises(QuotaExceeded, match=told), database.reading() as session:
            allowance.require_room(session)
        return full.value

    for _ in range(2):
        with database.writing() as session:
            allowance.take_upload(session)
            Allowance(allowance.quotas, "bob").take_upload(session)
    wait_s = refusal().retry_after_s
    assert wait_s is not None
    assert DAY_S - 60 < wait_s <= DAY_S + 1
    with database.writing() as session:
        session.execute(update(Upload).values(created_at=db_now() - DAY_S + 100))
    wait_s = refusal().retry_after_s
    assert wait_s is not None
    assert 0 < wait_s <= 101
    with database.writing() as session:
        session.execute(update(Upload).values(created_at=db_now() - DAY_S - 1))
        allowance.take_upload(session)
    assert use(database, "ada").uploads_in_a_day == 1


def _submit(session: Session, allowance: Allowance, spec: ExperimentSpec) -> None:
    allowance.require_jobs(session, len(experiments.create(session, spec, None, owner=allowance.owner)[1]))


def _import(session: Session, allowance: Allowance, _spec: ExperimentSpec) -> None:
    bring(session, allowance, 10)


@pytest.mark.parametrize(
    ("ask", "quotas"),
    [
        (_submit, Quotas(jobs=1)),
        (_import, Quotas(bytes=10)),
        (_import, Quotas(uploads_a_day=1)),
    ],
    ids=["jobs", "bytes", "uploads"],
)
@pytest.mark.parametrize("owner", ["ada", None])
def test_of_requests_at_once_no_two_take_the_last_place(
    database: Database,
    tiny_spec: ExperimentSpec,
    ask: Callable[[Session, Allowance, ExperimentSpec], None],
    quotas: Quotas,
    owner: str | None,
) -> None:
    """Four begin together where there is room for one: one is taken, and three are told."""
    start = Barrier(4)

    def one(_: int) -> bool:
        start.wait()
        try:
            with database.writing() as session:
                ask(session, Allowance(quotas, owner), tiny_spec)
        except QuotaExceeded:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(one, range(4))) == [False, False, False, True]


def test_evaluations_count_as_runs_do(database: Database, tiny_spec: ExperimentSpec) -> None:
    """One quota for both."""
    request = EvaluationRequest.model_validate({"checkpoint": imported(database, "one"), "attacks": [FGSM]})
    allowance = Allowance(Quotas(jobs=2), "ada")
    with database.writing() as session:
        _submit(session, allowance, tiny_spec)
        evaluation_requests.create(session, request, None, owner="ada")
        allowance.require_jobs(session, 1)
        with pytest.raises(QuotaExceeded, match="2 jobs of ada have not ended, and this asks for 1 more"):
            _submit(session, allowance, tiny_spec)
