"""Owners: what comes of whose request, and who may change it."""

import pytest
from sqlalchemy import select

from gauntlet.spec.asked.tokens import Scope
from gauntlet.spec.evaluations.evaluation import EvaluationRequest
from gauntlet.spec.evaluations.transfers import TransferRequest
from gauntlet.spec.experiment import ExperimentSpec
from store.accounts.owners import require_may_change
from store.accounts.tokens import Caller
from store.database import Database
from store.errors import NotYours
from store.models import Checkpoint, Evaluation, Experiment, Run
from store.queue import jobs
from store.subjects import evaluation_requests, experiments, runs
from tests.evaluations import FGSM, imported
from tests.store.recorded import EPOCHS, train


@pytest.mark.parametrize(
    ("caller", "owner", "may"),
    [
        (None, "ada", True),
        (None, None, True),
        (("ada", "submit"), "ada", True),
        (("bob", "submit"), "ada", False),
        (("Ada", "submit"), "ada", False),
        (("bob", "submit"), None, True),
        (("bob", "admin"), "ada", True),
    ],
)
def test_owners_and_admins_change_rows(caller: tuple[str, Scope] | None, owner: str | None, *, may: bool) -> None:
    """What nobody owns whoever may change anything may; without a login everybody may."""
    asking = None if caller is None else Caller("tok_1", *caller, use_is_news=False)
    row = Experiment(id="exp_1", owner=owner)
    if may:
        require_may_change(asking, row)
    else:
        with pytest.raises(NotYours, match=r"The experiment exp_1 is ada's\. Only ada or an admin may change it\."):
            require_may_change(asking, row)


def test_what_comes_of_an_experiment_is_its_owners(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Its runs, the checkpoints that they keep, and the evaluations of these."""
    with database.writing() as session:
        _, (run,) = experiments.create(session, tiny_spec, None, owner="ada")
        held = jobs.claim(session, "run", run, "worker", 60)
    assert held is not None
    train(database, tiny_spec, held, range(1, EPOCHS + 1))
    with database.writing() as session:
        assert runs.complete(session, held)
    with database.reading() as session:
        owners = [session.scalars(select(table.owner)).all() for table in (Experiment, Run, Checkpoint, Evaluation)]
    assert owners == [["ada"], ["ada"], ["ada", "ada"], ["ada"]]


def test_evaluations_are_their_askers(database: Database) -> None:
    """Whosever the checkpoint is; and one owner's key never brings another's."""
    ids = [imported(database, name) for name in ("one", "two")]
    one = EvaluationRequest.model_validate({"checkpoint": ids[0], "attacks": [FGSM]})
    matrix = TransferRequest.model_validate({"checkpoints": ids, "eps": "8/255"})
    with database.writing() as session:
        made = {
            owner: [
                *evaluation_requests.create(session, one, "one", owner=owner).evaluations,
                *evaluation_requests.create_transfers(session, matrix, "all", owner=owner).evaluations,
            ]
            for owner in ("ada", "bob", None)
        }
        assert all(row.owner == owner for owner, found in made.items() for row in found)
        assert len({row.id for found in made.values() for row in found}) == 9
        for owner, (first, *others) in made.items():
            again = evaluation_requests.create(session, one, "one", owner=owner)
            assert ([row.id for row in again.evaluations], again.waiting) == ([first.id], [])
            repeated = evaluation_requests.create_transfers(session, matrix, "all", owner=owner)
            assert [row.id for row in repeated.evaluations] == [row.id for row in others]
