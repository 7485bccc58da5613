"""The files of an evaluation's attacked pictures: whole or not at all, counted, deleted and swept like checkpoints."""

import hashlib
from typing import Any

import numpy as np
import pytest
import torch

from gauntlet.evaluation.kept_pictures import read_kept
from gauntlet.evaluation.verification import verify
from gauntlet.models.checkpoints import load_model
from store import pictures
from store.accounts.quotas import used
from store.database import Database
from store.queue import jobs
from store.subjects import deletions, evaluations
from tests.evaluations import FGSM, claimed, queued, untrained
from worker.beside.sweeper import sweep
from worker.jobs.evaluation_job import evaluate_checkpoint
from worker.jobs.heartbeat import Heartbeat
from worker.settings import WorkerSettings

torch.set_num_threads(1)


@pytest.fixture
def database(settings: WorkerSettings) -> Database:
    return Database(settings.database_url)


@pytest.fixture
def checkpoint(database: Database, settings: WorkerSettings) -> str:
    return untrained(database, settings.storage, "one")


def asked(database: Database, checkpoint: str, **fields: Any) -> str:
    screen = {"kind": "screen", "eps": "8/255"}
    return queued(database, checkpoint, FGSM, screen, **{"samples": 8, "batch_size": 4, "keep_images": 6} | fields)


class Interrupted(Exception):
    pass


class Pulse(Heartbeat):
    """Ends the attempt before its fourth batch, as a worker's end does: it is asked before and after each."""

    left = 7

    def checkpoint(self) -> None:
        self.left -= 1
        if not self.left:
            raise Interrupted


def attempt(database: Database, settings: WorkerSettings, evaluation: str) -> None:
    held = claimed(database, evaluation)
    evaluate_checkpoint(database, held, settings, Heartbeat(database, held, settings), torch.device("cpu"))


def interrupted(database: Database, settings: WorkerSettings, evaluation: str) -> None:
    """An attempt that goes back to the queue in the midst of FGSM."""
    held = claimed(database, evaluation)
    with pytest.raises(Interrupted):
        evaluate_checkpoint(database, held, settings, Pulse(database, held, settings), torch.device("cpu"))
    with database.writing() as session:
        jobs.release(session, held, None)


def names(settings: WorkerSettings) -> list[str]:
    """The files of all evaluations, below the storage."""
    return sorted(
        str(file.relative_to(settings.storage.root))
        for file in settings.storage.root.rglob("*")
        if "eval_" in str(file) and file.is_file()
    )


def arrays(settings: WorkerSettings, path: str) -> dict[str, Any]:
    with np.load(settings.storage.root / path, allow_pickle=False) as found:
        return {name: found[name] for name in found.files if name != "about"}


def test_pictures_are_published_whole(database: Database, settings: WorkerSettings, checkpoint: str) -> None:
    """Two files with their digests, and no part; they verify against the checkpoint's own file."""
    evaluation = asked(database, checkpoint)
    attempt(database, settings, evaluation)
    with database.reading() as session:
        shown = evaluations.show_whole(session, evaluations.get(session, evaluation))
        stored = {form: pictures.whole(session, evaluations.get(session, evaluation), form) for form in pictures.FORMS}
    assert names(settings) == [f"{evaluation}/attempt-1/pictures.npz", f"{evaluation}/attempt-1/pictures.zip"]
    assert [(file.format, file.bytes, file.sha256) for file in shown.pictures] == [
        (form, file.bytes, file.sha256) for form, file in stored.items()
    ]
    npz = settings.storage.root / stored["npz"].path
    assert hashlib.sha256(npz.read_bytes()).hexdigest() == stored["npz"].sha256
    kept = read_kept(npz)
    assert (len(kept.images), [attack.label for attack in kept.attacks]) == (6, ["fgsm@8/255", "screen@8/255"])
    assert (kept.about["evaluation"], kept.about["checkpoint"]) == (evaluation, checkpoint)
    found = list(verify(kept, load_model(settings.storage.root / "one.safetensors", torch.device("cpu")).model))
    assert all(each.holds and not each.undecided for each in found)
    assert len(found) == 3


def test_a_job_that_goes_on_keeps_the_same_pictures(
    database: Database, settings: WorkerSettings, checkpoint: str
) -> None:
    """Those of the batches that an earlier attempt finished are its own; the parts go when the whole is there."""
    undisturbed, evaluation = asked(database, checkpoint), asked(database, checkpoint, seed=1)
    attempt(database, settings, undisturbed)
    interrupted(database, settings, evaluation)
    (part,) = (name for name in names(settings) if evaluation in name)
    assert part.startswith(f"{evaluation}/attempt-1/part-")
    attempt(database, settings, evaluation)
    assert [name for name in names(settings) if evaluation in name] == [
        f"{evaluation}/attempt-2/pictures.npz",
        f"{evaluation}/attempt-2/pictures.zip",
    ]
    one, other = (
        arrays(settings, f"{name}/pictures.npz") for name in (f"{undisturbed}/attempt-1", f"{evaluation}/attempt-2")
    )
    # FGSM draws nothing from the seed.
    for name in ("images", "labels", "natural", "attacked_0", "predicted_0"):
        assert np.array_equal(one[name], other[name]), name


def test_pictures_of_what_others_measured_are_made_anew(
    database: Database, settings: WorkerSettings, checkpoint: str
) -> None:
    """Its numbers are known, its pictures are not; batches beyond those that are kept are taken over."""
    attempt(database, settings, asked(database, checkpoint, keep_images=0))
    assert names(settings) == []
    evaluation = asked(database, checkpoint, keep_images=3)
    attempt(database, settings, evaluation)
    with database.reading() as session:
        rows = {(row.stage, row.batch): row.seconds > 0 for row in evaluations.batches(session, evaluation)}
    assert (rows["natural", 0], rows["fgsm@8/255", 0], rows["fgsm@8/255", 1]) == (False, True, False)
    assert len(arrays(settings, f"{evaluation}/attempt-1/pictures.npz")["images"]) == 3


def test_what_ended_leaves_no_parts(database: Database, settings: WorkerSettings, checkpoint: str) -> None:
    """One that is cancelled will not put them together; one that waits keeps them, and so does what is whole."""
    whole, cancelled, waiting = (asked(database, checkpoint, seed=seed) for seed in range(3))
    attempt(database, settings, whole)
    for evaluation in (cancelled, waiting):
        interrupted(database, settings, evaluation)
    with database.writing() as session:
        evaluations.cancel(session, cancelled)
    sweep(database, settings.storage, events_days=30, audit_days=30, retry_days=7)
    assert {name.partition("/")[0] for name in names(settings)} == {whole, waiting}
    with database.reading() as session:
        assert not pictures.parts(session, cancelled)
        assert pictures.parts(session, waiting)


def test_pictures_that_were_deleted_leave_no_files(
    database: Database, settings: WorkerSettings, checkpoint: str
) -> None:
    """The sweeper deletes what no row names; the evaluation is still there."""
    evaluation = asked(database, checkpoint)
    attempt(database, settings, evaluation)
    with database.writing() as session:
        deletions.delete_pictures(session, evaluations.get(session, evaluation))
    sweep(database, settings.storage, events_days=30, audit_days=30, retry_days=7)
    assert names(settings) == []
    with database.reading() as session:
        assert evaluations.get(session, evaluation).status == "succeeded"


def test_pictures_count_as_their_owners_and_go_with_the_evaluation(
    database: Database, settings: WorkerSettings, checkpoint: str
) -> None:
    """In the quota while they are there; their folder is deleted by the sweeper."""
    evaluation = asked(database, checkpoint)
    with database.writing() as session:
        evaluations.get(session, evaluation).owner = "ada"
    attempt(database, settings, evaluation)
    with database.reading() as session:
        assert used(session, "ada").bytes == sum(
            (settings.storage.root / name).stat().st_size for name in names(settings)
        )
    with database.writing() as session:
        deletions.delete_evaluation(session, evaluations.get(session, evaluation))
    with database.reading() as session:
        assert used(session, "ada").bytes == 0
    sweep(database, settings.storage, events_days=30, audit_days=30, retry_days=7)
    assert not (settings.storage.root / evaluation).exists()
