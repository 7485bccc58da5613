"""What people write beside experiments and checkpoints: names, labels and notes."""

from collections.abc import Sequence

from sqlalchemy import delete, insert
from sqlalchemy.orm import Session

from gauntlet.spec.asked.requests import CheckpointPatch, ExperimentPatch
from store.models import Checkpoint, Experiment, ExperimentLabel
from store.subjects import deletions


def label(session: Session, experiment: Experiment, labels: Sequence[str]) -> None:
    """Give a stored experiment these labels and no others."""
    experiment.labels = list(labels)
    session.execute(delete(ExperimentLabel).where(ExperimentLabel.experiment_id == experiment.id))
    if labels:
        rows = [{"experiment_id": experiment.id, "label": each} for each in labels]
        session.execute(insert(ExperimentLabel), rows)


def change_experiment(session: Session, experiment: Experiment, patch: ExperimentPatch) -> None:
    """Change what the patch names. A name that is taken away is the spec's again.

    Raises:
        NotFound: it was deleted meanwhile.
    """
    deletions.take_turn_at(session, experiment)
    if "name" in patch.model_fields_set:
        experiment.name = patch.name or experiment.spec["name"]
    if "labels" in patch.model_fields_set:
        label(session, experiment, patch.labels or ())
    if "notes" in patch.model_fields_set:
        experiment.notes = patch.notes
    if "keep" in patch.model_fields_set:
        experiment.keep = None if patch.keep is None else patch.keep.model_dump(mode="json")


def change_checkpoint(session: Session, checkpoint: Checkpoint, patch: CheckpointPatch) -> None:
    """Change what the patch names.

    Raises:
        NotFound: it was deleted meanwhile.
    """
    deletions.take_turn_at(session, checkpoint)
    if "labels" in patch.model_fields_set:
        checkpoint.labels = list(patch.labels or ())
    if "notes" in patch.model_fields_set:
        checkpoint.notes = patch.notes
