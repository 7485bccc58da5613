"""All runs of an experiment at once, and the best of it, as lists and figures show them."""

import pytest
from sqlalchemy import delete, event

from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database
from store.errors import NotFound
from store.models import Evaluation, EvaluationBatch
from store.shown import series
from store.subjects import evaluations, experiments
from tests.evaluations import batch, recorded
from tests.store.recorded import FGSM, record, submit, train, train_and_evaluate


def test_every_run_has_its_metrics_by_epoch(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Runs in their order, one that has not begun too; only the metrics that are asked for; epochs in their order."""
    spec = tiny_spec.model_copy(update={"seeds": (3, 5)})
    experiment, held = submit(database, spec)
    train(database, spec, held, range(1, 4))
    with database.reading() as session:
        found = series.of_experiment(session, experiment, ["test_fgsm_accuracy", "no_such"])
        whole = series.of_experiment(session, experiment, [])
        with pytest.raises(NotFound):
            series.of_experiment(session, "exp_none", [])
    first, second = found.runs
    assert (first.seed, first.epochs) == (3, (1, 2, 3))
    assert first.values == {"test_fgsm_accuracy": (FGSM[1], FGSM[2], FGSM[3])}
    assert (second.seed, second.epochs, second.values) == (5, (), {"test_fgsm_accuracy": ()})
    assert set(whole.runs[0].values) == set(whole.metrics) == set(record(spec, 1, keep=False).metrics)


def test_an_experiment_shows_its_most_robust_checkpoint(database: Database, tiny_spec: ExperimentSpec) -> None:
    """None before anything is evaluated; then the worst case at the budget of training, counted by hand: 2 of 4."""
    experiment, held = train_and_evaluate(database, tiny_spec)
    with database.reading() as session:
        (before,) = experiments.show(session, [experiments.get(session, experiment)])
    assert before.best is None
    recorded(database, held, batch("natural", 0, range(4), range(4)), batch("fgsm@8/255", 0, range(4), (0, 1, 9, 9)))
    with database.writing() as session:
        evaluations.complete(session, held)
    with database.reading() as session:
        (after,) = experiments.show(session, [experiments.get(session, experiment)])
    assert after.best is not None
    assert (after.best.robust.value, after.best.robust.n) == (0.5, 4)
    assert (after.best.objective, after.best.attack) == ("cross_entropy", "FGSM at ε = 8/255 (L∞)")
    assert after.best.suspect is False


def test_outcomes_are_read_again_only_after_another(database: Database, tiny_spec: ExperimentSpec) -> None:
    """A list is asked for again and again: the outcomes of a thousand evaluations are read once."""
    experiment, held = train_and_evaluate(database, tiny_spec)
    recorded(database, held, batch("natural", 0, range(4), range(4)), batch("fgsm@8/255", 0, range(4), (0, 1, 9, 9)))
    read: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "outcome" in statement and "worst_cases" in statement:
            read.append(statement)

    def shown() -> tuple[float | None, int]:
        read.clear()
        with database.reading() as session:
            event.listen(session.get_bind(), "before_cursor_execute", note)
            (found,) = experiments.show(session, [experiments.get(session, experiment)])
            event.remove(session.get_bind(), "before_cursor_execute", note)
        return found.best.robust.value if found.best else None, len(read)

    assert shown() == (None, 0)
    with database.writing() as session:
        evaluations.complete(session, held)
    assert [shown(), shown()] == [(0.5, 1), (0.5, 0)]
    with database.writing() as session:
        session.execute(delete(EvaluationBatch).where(EvaluationBatch.evaluation_id == held.id))
        session.execute(delete(Evaluation).where(Evaluation.id == held.id))
    assert shown() == (None, 0)
