"""What a run says of the data that it reads, and how it ends where it cannot be trained on that."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from gauntlet.checks.description import DatasetDescription
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.presets import overlay
from gauntlet.spec.sweeps import Sweep
from store.database import Database
from store.shown import reports
from store.subjects import checkpoints, experiments, runs
from tests.worker.training_job.attempts import (
    CPU,
    claim,
    fail,
    kept,
    messages,
    result,
    spec_with,
    submit,
    train,
    train_until,
)
from worker.jobs.heartbeat import Heartbeat, Stopped
from worker.jobs.training_job import train_run
from worker.settings import WorkerSettings


@pytest.fixture
def pets(settings: WorkerSettings) -> Path:
    """Six images of each of two classes to train on and two for test, all unlike each other."""
    root = settings.data_root / "pets"
    for number in range(16):
        split, label = ("train" if number < 12 else "test"), ("cat", "dog")[number % 2]
        file = root / split / label / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (16, 16), 10 * number).save(file)
    return root


@pytest.fixture
def spec(tiny_spec: ExperimentSpec) -> ExperimentSpec:
    """Four epochs of three batches on it."""
    document = spec_with(tiny_spec, batch_size=4).model_dump(mode="json")
    return ExperimentSpec.model_validate(
        document | {"dataset": {"name": "image_folder", "folder": "pets", "image_size": 16}}
    )


def described(database: Database, run: str) -> DatasetDescription:
    with database.reading() as session:
        return DatasetDescription.model_validate(runs.get(session, run).data)


def test_a_run_says_what_it_read(
    database: Database, settings: WorkerSettings, spec: ExperimentSpec, pets: Path
) -> None:
    """Its event has images and classes, what was passed over, and what is in both splits; the report has it too."""
    (pets / "train/cat/._0.png").write_bytes(b"clutter")
    (pets / "train/.ipynb_checkpoints").mkdir()
    shutil.copy(pets / "train/dog/1.png", pets / "test/dog/1.png")
    run = submit(database, spec)
    train(database, settings, run)
    told = messages(database, run)["data"]
    for sentence in (
        "pets: 12 training images of 2 classes (cat: 6, dog: 6); 5 test images of 2 classes (cat: 2, dog: 3).",
        "Passed over among the training images: 2 hidden (.ipynb_checkpoints, cat/._0.png).",
        "1 test image is also among the training images (test/dog/1.png is train/dog/1.png): accuracy on the test set",
    ):
        assert sentence in told
    with database.reading() as session:
        report = reports.build(session, runs.get(session, run).experiment_id)
    assert report.dataset == described(database, run)
    assert any("also among the training images" in warning for warning in report.warnings)


def test_a_resume_on_the_same_data_says_nothing_new(
    database: Database, settings: WorkerSettings, spec: ExperimentSpec, pets: Path
) -> None:
    """One event for all attempts; where a picture is another one by then, the report tells it too."""
    run = submit(database, spec)
    train_until(database, settings, run, batches=2)
    train_until(database, settings, run, batches=4)
    assert "data_changed" not in messages(database, run)
    (pets / "train/.hidden").touch()
    train_until(database, settings, run, batches=5)
    assert "data_changed" not in messages(database, run)
    before = described(database, run)
    Image.new("L", (16, 16), 255).save(pets / "train/cat/0.png")
    train(database, settings, run)
    assert messages(database, run)["data_changed"].startswith(
        "The data set is not what earlier epochs were trained on."
    )
    assert described(database, run) != before
    with database.reading() as session:
        report = reports.build(session, runs.get(session, run).experiment_id)
    assert any("not what earlier epochs were trained on" in warning for warning in report.warnings)


@pytest.mark.usefixtures("pets")
def test_a_run_goes_on_from_the_disk(database: Database, settings: WorkerSettings, spec: ExperimentSpec) -> None:
    """Begun in memory, and from within its second epoch on with mapped images, it ends as one that never stopped."""
    whole, run = submit(database, spec), submit(database, spec)
    train(database, settings, whole)
    train_until(database, settings, run, batches=4)
    train(database, settings.model_copy(update={"mapped_from_bytes": 1}), run)
    assert len(list((settings.home / "decoded").glob("*/train"))) == 1
    assert result(database, run) == result(database, whole)


def test_a_run_does_not_go_on_with_other_classes(
    database: Database, settings: WorkerSettings, spec: ExperimentSpec, pets: Path
) -> None:
    """As many others in their place would be taken for those that earlier epochs were trained on."""
    run = submit(database, spec)
    train_until(database, settings, run, batches=2)
    for split in ("train", "test"):
        (pets / split / "cat").rename(pets / split / "eel")
    reason, detail = fail(database, settings, run)
    assert reason == "dataset_unavailable"
    assert "only the data of earlier epochs has cat; only the data set has eel" in str(detail)


def told_apart(database: Database, experiment: str) -> list[str]:
    """What its report says of runs that read other data."""
    with database.reading() as session:
        warnings = reports.build(session, experiment).warnings
    return [warning for warning in warnings if "did not read the same data" in warning]


def test_runs_of_one_experiment_that_read_different_data_are_told_apart(
    database: Database, settings: WorkerSettings, spec: ExperimentSpec, pets: Path
) -> None:
    """Their numbers do not compare."""
    first = submit(database, spec.model_copy(update={"seeds": (0, 1)}))
    with database.reading() as session:
        experiment = runs.get(session, first).experiment_id
        second = next(
            run.id for run in runs.page(session, experiment=experiment, after=None, limit=2).rows if run.id != first
        )
    train(database, settings, first)
    Image.new("L", (16, 16), 255).save(pets / "test/cat/12.png")
    train(database, settings, second)
    (warning,) = told_apart(database, experiment)
    assert "seed 1" in warning


def test_trials_read_the_same_pictures_in_their_own_ways(
    database: Database, settings: WorkerSettings, spec: ExperimentSpec, pets: Path
) -> None:
    """Of other sizes and numbers, ranked by natural accuracy; resumed as never stopped; what changed is told."""
    over = {"dataset.image_size": [16, 24], "dataset.train_samples": [12, 8]}
    swept = spec.model_copy(update={"sweep": Sweep.model_validate({"over": over, "metric": "accuracy"})})

    def made() -> tuple[str, list[str]]:
        with database.writing() as session:
            experiment, trials = experiments.create(session, swept, None)
        return experiment.id, trials

    (whole, never_stopped), (_, killed) = made(), made()
    for run in never_stopped:
        train(database, settings, run)
    train_until(database, settings, killed[2], batches=2)
    train(database, settings, killed[2])
    assert result(database, killed[2]) == result(database, never_stopped[2])
    card = checkpoints.card_of(kept(database, never_stopped[-1])[0])
    with database.reading() as session:
        report = reports.build(session, whole)
    assert (card.image_shape, card.dataset.train_samples) == ((3, 24, 24), 8)
    assert report.sweep is not None
    assert (report.sweep.metric, len(report.sweep.trials)) == ("test_accuracy", 4)
    assert any("compare their natural accuracies alone" in warning for warning in report.warnings)
    assert told_apart(database, whole) == []

    changed, (first, *_, last) = made()
    train(database, settings, first)
    Image.new("L", (16, 16), 255).save(pets / "test/cat/12.png")
    train(database, settings, last)
    (warning,) = told_apart(database, changed)
    assert "image size = 24, train samples = 8" in warning.partition("did not read")[0]


class Impatient(Heartbeat):
    """Is cancelled while the third picture is read."""

    told: tuple[int, int] = (0, 0)

    def tell_of_pictures(self, read: int, total: int) -> None:
        self.told = read, total
        if read == 3:
            self.stop("cancelled")
        super().tell_of_pictures(read, total)


@pytest.mark.usefixtures("pets")
def test_a_run_can_be_cancelled_while_its_data_is_read(
    database: Database, settings: WorkerSettings, spec: ExperimentSpec
) -> None:
    """Between two pictures of the sixteen, and it says how far it is."""
    held = claim(database, submit(database, spec))
    heartbeat = Impatient(database, held, settings)
    with pytest.raises(Stopped):
        train_run(database, held, settings, heartbeat, CPU)
    assert heartbeat.told == (3, 16)


def damage(pets: Path) -> None:
    """Two pictures of train, one of them under a name that is not UTF-8, and one of test."""
    for split, name in (("train", os.fsdecode(b"caf\xe9.png")), ("train", "half.png"), ("test", "text.png")):
        (pets / split / "cat" / name).write_bytes(b"no picture")


def no_test(pets: Path) -> None:
    (pets / "test").rename(pets / "val")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (damage, [r"train/cat/caf\xe9.png (", "train/cat/half.png (", "test/cat/text.png ("]),
        (no_test, ["There is no folder test in pets, but val: rename it"]),
        (shutil.rmtree, ["There is no folder pets among the data sets"]),
    ],
)
def test_data_that_cannot_be_used_ends_the_run_before_it_trains(
    database: Database, settings: WorkerSettings, spec: ExperimentSpec, pets: Path, spoil: Any, told: list[str]
) -> None:
    """In one attempt, with everything that is wrong in one sentence each, and no path of the machine."""
    spoil(pets)
    run = submit(database, spec)
    reason, detail = fail(database, settings, run)
    assert reason == "dataset_unavailable"
    assert all(sentence in str(detail) for sentence in told)
    assert str(settings.home) not in str(detail)
    assert result(database, run) == ([], [])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"evaluation": {"attacks": [{"kind": "autoattack", "eps": "8/255"}]}}, "attack_unsupported"),
        ({"training": {"precision": "tf32"}}, "precision_unsupported"),
        ({"dataset": {"train_samples": 13}}, "dataset_unavailable"),
    ],
)
@pytest.mark.usefixtures("pets")
def test_what_does_not_fit_the_data_ends_the_run_before_it_trains(
    database: Database,
    settings: WorkerSettings,
    spec: ExperimentSpec,
    changes: dict[str, Any],
    reason: str,
) -> None:
    """The worker looks again at all that the service could not see."""
    whole = ExperimentSpec.model_validate(overlay(spec.model_dump(mode="json"), changes))
    run = submit(database, whole)
    assert fail(database, settings, run)[0] == reason
    assert result(database, run) == ([], [])
