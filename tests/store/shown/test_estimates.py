"""Times and bytes that earlier jobs took, told of what computes alike."""

from typing import Any

import pytest
from sqlalchemy import select

from gauntlet.checks.description import ClassImages, DatasetDescription, SplitDescription
from gauntlet.results.stage_results import NATURAL
from gauntlet.spec.experiment import ExperimentSpec
from store.database import Database
from store.models import Checkpoint, Evaluation, Run
from store.queue import jobs
from store.shown import estimates
from store.subjects import evaluations, runs
from tests.evaluations import batch, begun, finished, queued, recorded
from tests.store.recorded import submit, train

HERE = DatasetDescription(
    dataset="digits",
    train=SplitDescription(classes=(ClassImages(name="0", images=1_437),)),
    test=SplitDescription(classes=(ClassImages(name="0", images=360),)),
)


@pytest.fixture(autouse=True)
def _measured(database: Database, tiny_spec: ExperimentSpec) -> None:
    """A run of 64 images/s and its evaluation, 16 images in a second without attack and in another under FGSM."""
    _, held = submit(database, tiny_spec)
    with database.writing() as session:
        jobs.note_device(session, held, "cpu")
    train(database, tiny_spec, held, range(1, 5))
    with database.writing() as session:
        (waiting,) = runs.complete(session, held)
    finished(database, waiting, natural=12, robust=9)
    with database.writing() as session:
        evaluation = session.get_one(jobs.JOB_MODELS["evaluation"], waiting)
        evaluation.device = "cpu"


def told(database: Database, spec: ExperimentSpec, **changes: Any) -> tuple[Any, int | None]:
    changed = ExperimentSpec.model_validate(spec.model_dump(mode="json") | changes)
    with database.reading() as session:
        return estimates.of_time(session, changed, HERE), estimates.of_disk(session, changed)


def test_what_was_measured_is_told(database: Database, tiny_spec: ExperimentSpec) -> None:
    """4 epochs of 96 images at 64 a second; 16 images twice at 16 a second; two checkpoints of 10 bytes."""
    ((estimate,), disk) = told(database, tiny_spec)
    assert (estimate.device, estimate.training_seconds, estimate.evaluation_seconds) == ("cpu", 6.0, 2.0)
    assert disk == 20


def test_more_of_it_takes_longer(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Seeds, epochs and images; another budget takes the same; never more test images than there are."""
    attacks = [{"kind": "fgsm", "eps": "1/255"}, {"kind": "fgsm", "eps": "2/255"}]
    evaluation = {"attacks": attacks, "samples": 10_000}
    training = {"epochs": 8, "checkpoint_every": 3}
    ((estimate,), disk) = told(database, tiny_spec, seeds=[0, 1], evaluation=evaluation, training=training)
    assert estimate.training_seconds == pytest.approx(2 * 8 * 96 / 64)
    assert estimate.evaluation_seconds == pytest.approx(2 * 3 * 360 / 16)
    assert disk == 2 * 3 * 10


def test_each_trial_takes_as_long_as_its_images_do(database: Database, tiny_spec: ExperimentSpec) -> None:
    """4 epochs of 32 images and of 64, at 64 a second, whatever the base has."""
    ((estimate,), _) = told(database, tiny_spec, sweep={"over": {"dataset.train_samples": [32, 64]}})
    assert estimate.training_seconds == pytest.approx(4 * (32 + 64) / 64)


def test_averages_are_stored_and_evaluated_beside_the_weights(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Twice the checkpoints and evaluations, unless the one or the other is kept alone."""
    kept = {"epochs": 4, "checkpoint_every": 2}
    ((estimate,), disk) = told(database, tiny_spec, training=kept | {"averaging": {}})
    assert (estimate.training_seconds, estimate.evaluation_seconds, disk) == (6.0, 4.0, 40)
    ((estimate,), disk) = told(database, tiny_spec, training=kept | {"averaging": {"keep": "average"}})
    assert (estimate.evaluation_seconds, disk) == (2.0, 20)


@pytest.mark.parametrize(
    ("changes", "known"),
    [
        ({"training": {"precision": "bf16"}}, (False, True, True)),
        ({"training": {"awp": {}}}, (False, True, True)),
        ({"objectives": [{"kind": "policy_gradient"}]}, (False, True, True)),
        ({"evaluation": {"attacks": [{"kind": "pgd", "eps": "8/255"}]}}, (True, False, True)),
        ({"architecture": {"kind": "resnet18"}}, (False, False, False)),
        ({"dataset": {"name": "cifar10"}}, (False, False, False)),
        ({"sweep": {"over": {"training.optimizer.lr": [0.1, 0.2]}}}, (True, True, True)),
        ({"sweep": {"over": {"architecture.dropout": [True, False]}}}, (False, False, False)),
    ],
    ids=str,
)
def test_what_was_not_measured_is_not_guessed(
    database: Database,
    tiny_spec: ExperimentSpec,
    changes: dict[str, Any],
    known: tuple[bool, bool, bool],
) -> None:
    """Training by objective and precision, evaluating by attack, both by network and image size."""
    found, disk = told(database, tiny_spec, **changes)
    times = (found[0].training_seconds, found[0].evaluation_seconds) if found else (None, None)
    assert tuple(value is not None for value in (*times, disk)) == known


def test_runs_computed_as_one_share_their_seconds(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Three at 64 images/s each, all at the same time, are one at 192."""
    with database.writing() as session:
        run = session.scalars(select(Run)).one()
        for ordinal in (1, 2):
            beside = {"objective": run.objective, "seed": ordinal, "spec": run.spec, "fused_with": run.id}
            row = {"id": f"run_{ordinal}", "created_at": 0.0, "experiment_id": run.experiment_id, "ordinal": ordinal}
            session.add(Run(**row | beside))
    ((estimate,), _) = told(database, tiny_spec)
    assert estimate.training_seconds == 2.0


def test_corruptions_and_certificates_count(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Of 16 images 2 s under each of two severities; of 4 images 3 s for 20 passes each, at the first radius."""
    extra = {
        "corruptions": {"kinds": ["fog"], "severities": [1, 5]},
        "smoothing": {"sigma": 0.25, "samples": 4, "selection": 10, "draws": 10, "radii": [0, 0.5]},
    }
    with database.reading() as session:
        (checkpoint, *_) = session.scalars(select(Checkpoint.id))
    measured = queued(database, checkpoint, samples=16, batch_size=16, **extra)
    held = begun(database, measured)
    seen = [image % 10 for image in range(16)]
    for stage in (NATURAL, "fgsm@8/255"):
        recorded(database, held, batch(stage, 0, range(16), seen))
    for severity in (1, 5):
        recorded(database, held, batch(f"corruption/imagenet-c/fog:{severity}", 0, range(16), seen), seconds=2)
    for radius, seconds in ((0, 3), (0.5, 1e-4)):
        stage = f"smoothing/0.25/10/10/0.001:{radius:g}"
        recorded(database, held, batch(stage, 0, range(4), range(4)), seconds=seconds)
    with database.writing() as session:
        evaluations.complete(session, held, [])
        session.get_one(Evaluation, measured).device = "cpu"
    # 32 images, of which 8 are certified with five times as many passes; two checkpoints.
    evaluation = {"attacks": [{"kind": "fgsm", "eps": "8/255"}], "samples": 32}
    ((plain,), _) = told(database, tiny_spec, evaluation=evaluation)
    more = {"smoothing": {"sigma": 1, "samples": 8, "selection": 50, "draws": 50}, "corruptions": extra["corruptions"]}
    ((estimate,), _) = told(database, tiny_spec, evaluation=evaluation | more)
    selected = len(tiny_spec.evaluation.select)
    assert plain.evaluation_seconds == pytest.approx(selected * 32 * 2 / 16)
    assert estimate.evaluation_seconds == pytest.approx(selected * (32 * (2 + 4) / 16 + 8 * 5 * 3 / 4))
    unknown = {"corruptions": {"kinds": ["fog"], "severities": [2]}}
    ((estimate,), _) = told(database, tiny_spec, evaluation=evaluation | unknown)
    assert estimate.evaluation_seconds is None
