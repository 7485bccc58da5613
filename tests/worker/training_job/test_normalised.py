"""Weights of a network that was trained behind a normalisation."""

import pytest

from gauntlet.models.architectures import Normalise
from gauntlet.models.checkpoints import load_model
from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database
from store.errors import RequestUnfit
from tests.worker.training_job.attempts import kept, result, spec_with, starting_from, submit, train, train_until
from tests.worker.training_job.conftest import Undisturbed
from worker.jobs.weights import weights_of
from worker.settings import WorkerSettings


def test_a_normalisation_is_kept_with_the_weights_and_stays_with_them(
    database: Database, settings: WorkerSettings, tiny_spec: ExperimentSpec, undisturbed: Undisturbed
) -> None:
    """On the card, within the model that is loaded, after a stop too; training goes on from it only behind the same."""
    behind = {"mean": [0.3], "std": [0.2]}

    def normalising(spec: ExperimentSpec) -> ExperimentSpec:
        return ExperimentSpec.model_validate(spec.model_dump(mode="json") | {"normalisation": behind})

    spec = normalising(spec_with(tiny_spec, epochs=1))
    stopped = submit(database, spec)
    train_until(database, settings, stopped, batches=2)
    train(database, settings, stopped)
    assert result(database, stopped) == undisturbed(spec)
    (source,) = kept(database, stopped)
    loaded = load_model(weights_of(source, settings.storage), "cpu")
    assert loaded.card.normalisation == spec.normalisation
    assert [type(part) for part in loaded.model.children()][:1] == [Normalise]

    continued = submit(database, normalising(starting_from(tiny_spec, source)))
    train(database, settings, continued)
    assert kept(database, continued)[0].metrics["test_accuracy"] == source.metrics["test_accuracy"]
    with pytest.raises(RequestUnfit, match=r"normalises its input .* and what is trained does not"):
        submit(database, starting_from(tiny_spec, source))
