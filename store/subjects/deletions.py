"""What is deleted for good: rows in one transaction, with all that hangs on them; files by the sweeper.

What others stand on is refused, and named. Who deletes, and who begins to stand on something, take turns: so neither
finds gone what it saw just now. An experiment's own evaluations go with it alone, since its report is made of them.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

from sqlalchemy import Select, String, cast, delete, select, update
from sqlalchemy.orm import Session, joinedload

from store import events, failpoints, job_logs, pictures
from store.database import db_now, take_turn
from store.errors import NotFound, Refused
from store.events import News
from store.models import (
    Checkpoint,
    DiscardedFolder,
    EpochMetrics,
    Evaluation,
    EvaluationBatch,
    Event,
    Experiment,
    Run,
)
from store.queue.jobs import ACTIVE

_NAMED: Final = re.compile(r"ckpt_[0-9a-z]+")
_MOST_TOLD: Final = 5
_AT_ONCE: Final = 500


def take_turn_to_name(session: Session) -> None:
    """Wait for deletions under way, and hold up later ones until this transaction ends.

    For whoever makes something that stands on a checkpoint or an experiment, before it looks whether that is there.
    """
    take_turn(session, "deletions")


def take_turn_at(session: Session, row: Experiment | Checkpoint | Evaluation) -> None:
    """The same for whoever deletes a row or changes it, which is read anew; of a checkpoint with its run.

    Raises:
        NotFound: it was deleted meanwhile.
    """
    take_turn_to_name(session)
    options = [joinedload(Checkpoint.run)] if isinstance(row, Checkpoint) else []
    if session.get(type(row), row.id, options=options, populate_existing=True) is None:
        raise NotFound(type(row).__name__.lower(), row.id)


def delete_experiment(session: Session, experiment: Experiment) -> None:
    """Delete an experiment with its runs, their checkpoints and its evaluations.

    Raises:
        NotFound: it was deleted meanwhile.
        Refused: some of it has not ended, or something else stands on one of its checkpoints.
    """
    take_turn_at(session, experiment)
    of_it = {model: list(session.scalars(_ids_of(model, experiment.id))) for model in (Run, Evaluation)}
    active = [
        job
        for model in (Run, Evaluation)
        for job in session.scalars(
            select(model.id).where(model.experiment_id == experiment.id, model.status.in_(ACTIVE))
        )
    ]
    _require_none("have not ended; cancel them first", "Jobs of this experiment", active)
    kept = [
        identifier
        for some in _parts(of_it[Run])
        for identifier in session.scalars(select(Checkpoint.id).where(Checkpoint.run_id.in_(some)))
    ]
    stands = list(_standing_on(session, kept, within=experiment.id))
    _require_none("stand on its checkpoints; delete them first", "These", stands)
    pictured: set[str] = set()
    for some in _parts(of_it[Evaluation]):
        pictured |= pictures.forget(session, some)
        session.execute(delete(EvaluationBatch).where(EvaluationBatch.evaluation_id.in_(some)))
        session.execute(delete(Evaluation).where(Evaluation.id.in_(some)))
        job_logs.forget(session, some)
    for some in _parts(of_it[Run]):
        session.execute(delete(Checkpoint).where(Checkpoint.run_id.in_(some)))
        session.execute(delete(EpochMetrics).where(EpochMetrics.run_id.in_(some)))
        session.execute(delete(Event).where(Event.subject.in_(some), Event.type.in_(events.NOTES)))
        session.execute(delete(Run).where(Run.id.in_(some)))
        job_logs.forget(session, some)
    session.execute(delete(Experiment).where(Experiment.id == experiment.id))
    _discard(session, [*of_it[Run], *sorted(pictured)])
    _tell(session, "experiment", experiment.id, None)


def delete_checkpoint(session: Session, checkpoint: Checkpoint) -> None:
    """Delete a checkpoint; its run is loaded.

    Raises:
        NotFound: it was deleted meanwhile.
        Refused: its run has not ended, or something stands on it.
    """
    take_turn_at(session, checkpoint)
    run = checkpoint.run
    if run is not None and run.status in ACTIVE:
        raise Refused(f"The run {run.id} is {run.status} and may evaluate this checkpoint; cancel it first.")
    _require_none(
        f"stand on the checkpoint {checkpoint.id}; delete them first", "These", _standing_on(session, [checkpoint.id])
    )
    session.execute(delete(Checkpoint).where(Checkpoint.id == checkpoint.id))
    if run is None:
        # Another's file lies in its run's folder, where the sweeper looks for what no row names.
        _discard(session, [checkpoint.id])
    _tell(session, "checkpoint", checkpoint.id, run.experiment_id if run else None)


def delete_evaluation(session: Session, evaluation: Evaluation) -> None:
    """Delete an evaluation that was asked for by itself. What others took over of it they have as their own.

    Raises:
        NotFound: it was deleted meanwhile.
        Refused: it has not ended, or is part of an experiment.
    """
    take_turn_at(session, evaluation)
    if evaluation.experiment_id is not None:
        raise Refused(
            f"The evaluation {evaluation.id} is part of {evaluation.experiment_id}, whose report is made of it; it is "
            "deleted with that experiment."
        )
    if evaluation.status in ACTIVE:
        raise Refused(f"The evaluation {evaluation.id} is {evaluation.status}; cancel it first.")
    _discard(session, pictures.forget(session, [evaluation.id]))
    session.execute(delete(EvaluationBatch).where(EvaluationBatch.evaluation_id == evaluation.id))
    session.execute(delete(Evaluation).where(Evaluation.id == evaluation.id))
    job_logs.forget(session, [evaluation.id])
    # It may be retried once more.
    session.execute(update(Evaluation).where(Evaluation.retried_by == evaluation.id).values(retried_by=None))
    _tell(session, "evaluation", evaluation.id, None)


def delete_pictures(session: Session, evaluation: Evaluation) -> None:
    """Delete the attacked pictures that an evaluation kept, and nothing else of it.

    Raises:
        NotFound: it was deleted meanwhile.
        Refused: it has not ended, or there are none.
    """
    take_turn_at(session, evaluation)
    if evaluation.status in ACTIVE:
        raise Refused(f"The evaluation {evaluation.id} is {evaluation.status}; cancel it first.")
    pictures.whole(session, evaluation, "npz")
    # The sweeper deletes the files, which no row names now.
    pictures.forget(session, [evaluation.id])
    told = "Its attacked pictures are deleted."
    events.tell(session, News("status", "pictures_deleted", evaluation.id, told, evaluation.experiment_id))
    session.flush()


def discarded(session: Session) -> list[str]:
    """The folders of the storage that are to go."""
    return list(session.scalars(select(DiscardedFolder.name)))


def forget_discarded(session: Session, name: str) -> None:
    """Note that a folder is gone."""
    session.execute(delete(DiscardedFolder).where(DiscardedFolder.name == name))


def stood_on(session: Session, identifiers: Collection[str]) -> set[str]:
    """Those of the checkpoints that were evaluated, or that a spec names."""
    found: set[str] = set()
    for some in _parts(list(identifiers)):
        found.update(session.scalars(select(Evaluation.checkpoint_id).where(Evaluation.checkpoint_id.in_(some))))
    if identifiers:
        for _, spec in _specs(session, None):
            found.update(_NAMED.findall(spec))
    return found.intersection(identifiers)


def _standing_on(session: Session, identifiers: Collection[str], *, within: str | None = None) -> Iterator[str]:
    """What stands on one of these checkpoints, but for the experiment `within` and its own evaluations."""
    for some in _parts(list(identifiers)):
        attacked = select(Evaluation.id).where(Evaluation.checkpoint_id.in_(some))
        if within is not None:
            attacked = attacked.where(Evaluation.experiment_id.is_distinct_from(within))
        yield from session.scalars(attacked.order_by(Evaluation.id).limit(_MOST_TOLD + 1))
    wanted = set(identifiers)
    if wanted:
        for identifier, spec in _specs(session, within):
            if not wanted.isdisjoint(_NAMED.findall(spec)):
                yield identifier


def _specs(session: Session, within: str | None) -> Iterator[tuple[str, str]]:
    """The ids and specs, as texts, of all experiments and evaluations that name checkpoints in them."""
    for model, place in ((Experiment, Experiment.id), (Evaluation, Evaluation.experiment_id)):
        text = cast(model.spec, String)
        query: Select[str, str] = select(model.id, text).where(text.contains("ckpt_", autoescape=True))
        if within is not None:
            query = query.where(place.is_distinct_from(within))
        for row in session.execute(query, execution_options={"yield_per": _AT_ONCE}):
            yield row.id, row[1]


def _require_none(what: str, who: str, found: Iterable[str]) -> None:
    told = list(dict.fromkeys(found))
    if told:
        more = f" and {len(told) - _MOST_TOLD} more" if len(told) > _MOST_TOLD else ""
        raise Refused(f"{who} {what}: {', '.join(told[:_MOST_TOLD])}{more}.")


def _ids_of(model: type[Run] | type[Evaluation], experiment: str) -> Select[str]:
    return select(model.id).where(model.experiment_id == experiment)


def _parts(identifiers: list[str]) -> Iterator[list[str]]:
    """The same in parts that one statement can hold."""
    for first in range(0, len(identifiers), _AT_ONCE):
        yield identifiers[first : first + _AT_ONCE]


def _discard(session: Session, folders: Iterable[str]) -> None:
    session.add_all(DiscardedFolder(name=name, created_at=db_now()) for name in folders)


def _tell(session: Session, kind: str, identifier: str, experiment: str | None) -> None:
    about = identifier if kind == "experiment" else experiment
    events.tell(session, News("status", "deleted", identifier, f"The {kind} is deleted.", about))
    session.flush()
    failpoints.reach("deleting")
