"""What a request for an experiment comes to: its spec, and all that is wrong with it."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session

from gauntlet.checks.description import DatasetDescription
from gauntlet.checks.requests import experiment_faults, initial_checkpoints, named_checkpoints, remarks, sources
from gauntlet.checks.used_images import used_images
from gauntlet.resources import Check, PlannedRun, ProblemError
from gauntlet.spec.asked.requests import ExperimentRequest, LikeRequest
from gauntlet.spec.experiment import ExperimentSpec, Planned
from gauntlet.spec.reading.messages import printable
from service.data import look, machine_of_workers
from service.errors import ServiceError, invalid_fields, problem_errors
from service.pictures.weights import require_weights
from service.settings import ServiceSettings
from store.database import Database
from store.errors import NotFound
from store.shown import estimates
from store.subjects import checkpoints, datasets, experiments


def specified(session: Session, request: ExperimentRequest | LikeRequest) -> ExperimentSpec:
    """The spec that is asked for.

    Raises:
        ServiceError: 422, it is asked for as another with changes, and there is no such one or it comes to no spec; or
            values of its sweep come to none.
    """
    spec = _spec_of(session, request)
    if spec.sweep is not None:
        try:
            spec.planned()
        except ValidationError as error:
            within = "/changes" if isinstance(request, LikeRequest) else ""
            raise invalid_fields(problem_errors(error.errors(include_url=False), ExperimentSpec, within)) from error
    return spec


def _spec_of(session: Session, request: ExperimentRequest | LikeRequest) -> ExperimentSpec:
    if isinstance(request, ExperimentRequest):
        return request.spec()
    try:
        return experiments.spec_like(session, request)
    except NotFound as error:
        raise invalid_fields([ProblemError(pointer="/like", message=str(error))]) from error
    except ValidationError as error:
        raise invalid_fields(problem_errors(error.errors(include_url=False), ExperimentSpec, "/changes")) from error


def weights_of(spec: ExperimentSpec) -> Sequence[tuple[str, str]]:
    """The checkpoints whose weights an experiment needs, with the fields that name them."""
    started = [(identifier, "/training/initial_checkpoint") for identifier in initial_checkpoints(spec)]
    return [*started, *sources(spec.evaluation, "/evaluation")]


def check(database: Database, settings: ServiceSettings, fields: Mapping[str, Any]) -> Check:
    """What would become of a request, finished or not. Nothing is stored."""
    kind: type[BaseModel] = LikeRequest if "like" in fields else ExperimentRequest
    try:
        request = kind.model_validate(fields)
        assert isinstance(request, ExperimentRequest | LikeRequest)
        with database.reading() as session:
            spec = specified(session, request)
    except ValidationError as error:
        return Check(faults=tuple(problem_errors(error.errors(include_url=False), kind)))
    except ServiceError as error:
        return Check(faults=error.errors)
    found = look(settings, spec.dataset)
    with database.reading() as session:
        found = datasets.seen(session, spec.dataset, found)
        cards = checkpoints.cards(session, named_checkpoints(spec))
        told = experiment_faults(spec, found, cards, machine_of_workers(session, settings))
        faults = tuple(ProblemError(pointer=each.pointer, message=printable(each.message)) for each in told)
        planned = Check(
            faults=faults,
            remarks=tuple(remarks(spec, found, cards)),
            dataset=found,
            spec=spec,
            runs=tuple(_planned(each, found) for each in spec.planned()),
            estimates=estimates.of_time(session, spec, found),
            checkpoint_bytes=estimates.of_disk(session, spec),
        )
    return planned if faults else planned.model_copy(update={"faults": _weights_gone(database, settings, spec)})


def _planned(planned: Planned, found: DatasetDescription | None) -> PlannedRun:
    label, run, trial = planned
    images = used_images(run, found)
    return PlannedRun(
        objective=label,
        seed=run.seed,
        values={} if trial is None else trial.values,
        train_images=images.train,
        validation_images=images.validation,
        test_images=images.test,
    )


def _weights_gone(database: Database, settings: ServiceSettings, spec: ExperimentSpec) -> tuple[ProblemError, ...]:
    try:
        require_weights(database, settings.storage, weights_of(spec))
    except ServiceError as error:
        return error.errors
    return ()
