"""Experiments: one transaction makes the experiment and its runs; everything shown of it is derived from its jobs."""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from gauntlet import resources
from gauntlet.checks.description import DatasetDescription
from gauntlet.checks.machine import UNKNOWN, Machine
from gauntlet.checks.requests import experiment_faults, named_checkpoints
from gauntlet.resources import Progress
from gauntlet.spec.asked.priorities import PRIORITIES, Priority
from gauntlet.spec.asked.requests import LikeRequest
from gauntlet.spec.asked.retention import Keep
from gauntlet.spec.experiment import ExperimentSpec
from store import events, failpoints
from store.database import db_now, take_turn
from store.errors import IdempotencyConflict, RequestUnfit
from store.lookup import find
from store.models import Evaluation, Experiment, Run, new_id
from store.queue import controls
from store.queue.jobs import JobModel
from store.shown.best_results import best_results
from store.shown.standings import overall_status
from store.subjects import annotations, checkpoints, datasets, deletions
from store.times import as_datetime

# What the runs of an experiment differ in.
_OWN = {"objective", "seed"}
_OWN_OF_TRIALS = _OWN | {"architecture", "normalisation", "adversary", "training", "dataset"}


class Standing(NamedTuple):
    """How many of an experiment's jobs stand where."""

    status: str
    reason: str | None
    jobs: int


def create(
    session: Session,
    spec: ExperimentSpec,
    idempotency_key: str | None,
    found: DatasetDescription | None = None,
    machine: Machine = UNKNOWN,
    *,
    owner: str | None = None,
    labels: Sequence[str] = (),
    notes: str = "",
    priority: Priority = "normal",
    keep: Keep | None = None,
) -> tuple[Experiment, list[str]]:
    """Store an experiment and its runs; returns it with the ids of the runs to wake.

    With a key that its owner used before, nothing is stored and the earlier experiment comes back, with no run to wake.

    Args:
        found: what was seen of the data, if it could be looked at; of an uploaded data set its row tells.
        machine: what its runs are trained on, as far as it is known.
        owner: whose it is; None without a login.
        labels, notes, priority, keep: what stands beside the spec.

    Raises:
        IdempotencyConflict: the key was used with another spec.
        RequestUnfit: its runs cannot be made of the data, or of the checkpoints it names.
    """
    spec = spec.model_copy(update={"dataset": datasets.titled(session, spec.dataset)})
    document = spec.model_dump(mode="json")
    # As before anything beside the spec could be given, where there are none.
    asked = document | ({"labels": list(labels), "notes": notes} if labels or notes else {})
    asked |= {} if priority == "normal" else {"priority": priority}
    asked |= {} if keep is None else {"keep": keep.model_dump(mode="json")}
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    if idempotency_key is not None:
        # Of requests that come at once with one key, each sees what those before it stored.
        take_turn(session, f"experiments {owner} {idempotency_key}")
        earlier = _by_key(session, owner, idempotency_key, digest)
        if earlier is not None:
            return earlier, []
    if named := named_checkpoints(spec):
        deletions.take_turn_to_name(session)
    cards = checkpoints.cards(session, named)
    found = datasets.seen(session, spec.dataset, found)
    if faults := experiment_faults(spec, found, cards, machine):
        raise RequestUnfit(faults)
    now = session.scalar(select(db_now()))
    experiment = Experiment(
        id=new_id("exp"),
        created_at=now,
        owner=owner,
        name=spec.name,
        dataset_id=datasets.stand_on(session, spec.dataset),
        spec=document,
        idempotency_key=idempotency_key,
        request_sha256=digest,
        notes=notes or None,
        priority=PRIORITIES.index(priority),
        keep=None if keep is None else keep.model_dump(mode="json"),
    )
    session.add(experiment)
    session.flush()
    annotations.label(session, experiment, labels)
    expanded = spec.planned()
    # Written once for all of them: the rest of a run may hold a hundred attacks.
    own = _OWN if spec.sweep is None else _OWN_OF_TRIALS
    shared = expanded[0].run.model_dump(mode="json", exclude=own)
    runs = [
        Run(
            id=new_id("run"),
            created_at=now,
            owner=owner,
            priority=experiment.priority,
            experiment_id=experiment.id,
            ordinal=ordinal,
            objective=planned.label,
            seed=planned.run.seed,
            spec=shared | planned.run.model_dump(mode="json", include=own),
            trial=None if planned.trial is None else planned.trial.model_dump(mode="json"),
        )
        for ordinal, planned in enumerate(expanded)
    ]
    session.add_all(runs)
    session.flush()
    events.tell_queued(session, runs)
    failpoints.reach("submitting")
    return experiment, [run.id for run in runs]


def get(session: Session, identifier: str) -> Experiment:
    """The experiment with that id.

    Raises:
        NotFound: there is none.
    """
    return find(session, Experiment, "experiment", identifier)


def cancel(session: Session, identifier: str) -> Experiment:
    """Cancel all that has not ended of an experiment.

    Raises:
        NotFound: there is none.
    """
    experiment = get(session, identifier)
    for model in (Run, Evaluation):
        controls.cancel(session, model, model.experiment_id == identifier)
    return experiment


def pause(session: Session, identifier: str) -> None:
    """Pause all that has not ended of an experiment, until it is resumed.

    Raises:
        NotFound: there is none.
    """
    get(session, identifier)
    # Runs first: one that ends meanwhile has queued its evaluations by then, or will pause them.
    for model in (Run, Evaluation):
        controls.pause(session, model, model.experiment_id == identifier)


def prioritise(session: Session, identifier: str, priority: Priority) -> None:
    """Give an experiment, and all of it that has not ended, another priority.

    Raises:
        NotFound: there is none.
    """
    experiment = get(session, identifier)
    deletions.take_turn_at(session, experiment)
    for model in (Run, Evaluation):
        controls.prioritise(session, model, priority, model.experiment_id == identifier)
    # After its jobs, as whoever changes a job's status has it.
    experiment.priority = PRIORITIES.index(priority)
    session.flush()


def resume(session: Session, identifier: str) -> int:
    """Let all that is paused of an experiment go on; returns how many jobs wait for it.

    Raises:
        NotFound: there is none.
    """
    get(session, identifier)
    return sum(controls.resume(session, model, model.experiment_id == identifier) for model in (Run, Evaluation))


def show(session: Session, experiments: Sequence[Experiment]) -> list[resources.Experiment]:
    """The experiments as the API shows them, with status and progress counted from their jobs."""
    identifiers = [experiment.id for experiment in experiments]
    by_experiment: dict[str, list[Standing]] = {identifier: [] for identifier in identifiers}
    runs: dict[str, Counter[str]] = {identifier: Counter() for identifier in identifiers}
    for model in (Run, Evaluation):
        for identifier, status, reason, count in session.execute(counted(model, identifiers)):
            by_experiment[identifier or ""].append(Standing(status, reason, count))
            if model is Run:
                runs[identifier or ""][status] += count
    specs = {experiment.id: spec_of(experiment) for experiment in experiments}
    best = best_results(session, specs)
    return [
        _show(experiment, specs[experiment.id], by_experiment[experiment.id], best.get(experiment.id)).model_copy(
            update={"runs": dict(runs[experiment.id])}
        )
        for experiment in experiments
    ]


def counted(model: JobModel, identifiers: Sequence[str]) -> Select[*tuple[Any, ...]]:
    """The statement that counts the experiments' jobs by where they stand; of one that was retried, the retry alone."""
    place = (model.experiment_id, model.status, model.status_reason)
    ours = model.experiment_id.in_(identifiers), model.retried_by.is_(None)
    return select(*place, func.count()).where(*ours).group_by(*place)


def _show(
    experiment: Experiment, spec: ExperimentSpec, standings: Sequence[Standing], best: resources.BestResult | None
) -> resources.Experiment:
    """The status of all with its commonest reason."""
    status = overall_status([standing.status for standing in standings])
    reasons: Counter[str] = Counter()
    for standing in standings:
        # That a sweep stopped some of its runs is no reason of the whole.
        if standing.status == status != "succeeded" and standing.reason:
            reasons[standing.reason] += standing.jobs
    ended = sum(standing.jobs for standing in standings if standing.status in resources.TERMINAL)
    total = sum(standing.jobs for standing in standings)
    return resources.Experiment(
        id=experiment.id,
        created_at=as_datetime(experiment.created_at),
        owner=experiment.owner,
        name=experiment.name,
        priority=PRIORITIES[experiment.priority],
        keep=None if experiment.keep is None else Keep.model_validate(experiment.keep),
        status=status,
        status_reason=max(sorted(reasons), key=reasons.__getitem__, default=None),
        progress=Progress(phase=status, completed=ended, total=total, unit="jobs", eta_s=None),
        best=best,
        spec=spec,
        labels=tuple(experiment.labels or ()),
        notes=experiment.notes or "",
    )


def _by_key(session: Session, owner: str | None, key: str, digest: str) -> Experiment | None:
    earlier = session.scalar(select(Experiment).where(Experiment.idempotency_key == key, Experiment.owner == owner))
    if earlier is not None and earlier.request_sha256 != digest:
        raise IdempotencyConflict("This Idempotency-Key was used before with another request.")
    return earlier


def spec_of(experiment: Experiment) -> ExperimentSpec:
    """What was asked for, as a value."""
    return ExperimentSpec.model_validate(experiment.spec)


def spec_like(session: Session, request: LikeRequest) -> ExperimentSpec:
    """What is asked for by naming another experiment and what is to change.

    Raises:
        NotFound: there is no such experiment.
        ValidationError: what comes out is no spec; its places are the changes'.
    """
    return ExperimentSpec.model_validate(request.fields(spec_of(get(session, request.like))))
