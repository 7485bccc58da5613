"""What an evaluation is of: a checkpoint, read and checked, and the test images that are attacked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from gauntlet.checks.faults import refuse
from gauntlet.checks.requests import evaluation_faults
from gauntlet.data.datasets import ImageSet, digest, read_split
from gauntlet.data.survey import survey
from gauntlet.models.checkpoints import LoadedModel, load_model
from gauntlet.spec.evaluations.evaluation import EvaluationSpec, other_models
from gauntlet.spec.kinds import dataset_title
from store.database import Database
from store.models import Checkpoint
from store.queue.jobs import JobProgress
from store.subjects import checkpoints, evaluations
from store.subjects.evaluations import AttackedSet
from worker.jobs.heartbeat import Heartbeat
from worker.jobs.images import decoded_cache, root_of
from worker.jobs.weights import weights_of
from worker.settings import WorkerSettings


@dataclass(frozen=True)
class Inputs:
    """The attacked model and its images; `sources` are the models of transfer attacks, by checkpoint."""

    checkpoint: Checkpoint
    spec: EvaluationSpec
    dataset: str
    model: nn.Module
    sources: Mapping[str, nn.Module]
    test: ImageSet
    classes: Sequence[str]
    attacked: AttackedSet


def read_inputs(
    database: Database, identifier: str, settings: WorkerSettings, heartbeat: Heartbeat, device: torch.device
) -> Inputs:
    """Read what the evaluation with that id needs.

    Raises:
        Stopped: the job was told to stop.
        GauntletError: the data is missing, the checkpoint is damaged, or an attack does not apply.
        OSError: the storage cannot be read.
    """
    with database.reading() as session:
        evaluation = evaluations.get(session, identifier)
        checkpoint = checkpoints.get(session, evaluation.checkpoint_id)
        spec = evaluations.specified(evaluation)
        cards = checkpoints.cards(session, [checkpoint.id, *other_models(spec)])
    heartbeat.tell(JobProgress("loading data", 0, 1, "data sets"))
    dataset = checkpoints.card_of(checkpoint).dataset
    root = root_of(settings, dataset)
    refuse(evaluation_faults(checkpoint.id, spec, survey(dataset, root, ("test",)), cards))
    loaded = _load(checkpoint, settings, device)
    sources = _sources(database, other_models(spec), settings, device)
    test, classes, described = read_split(
        dataset, "test", root, heartbeat.tell_of_pictures, cache=decoded_cache(settings)
    )
    attacked = AttackedSet(digest(test, classes), min(len(test), spec.samples), described)
    return Inputs(checkpoint, spec, dataset_title(dataset), loaded.model, sources, test, classes, attacked)


def _load(checkpoint: Checkpoint, settings: WorkerSettings, device: torch.device) -> LoadedModel:
    """The checkpoint's model.

    Raises:
        CheckpointInvalid: its file is damaged.
        OSError: it cannot be read; a storage that is away must not be taken for a checkpoint that is lost.
    """
    return load_model(weights_of(checkpoint, settings.storage), device)


def _sources(
    database: Database, identifiers: Sequence[str], settings: WorkerSettings, device: torch.device
) -> Mapping[str, nn.Module]:
    """The models that transfer attacks make their examples on, by checkpoint."""
    with database.reading() as session:
        rows = [checkpoints.get(session, identifier) for identifier in identifiers]
    return {row.id: _load(row, settings, device).model for row in rows}
