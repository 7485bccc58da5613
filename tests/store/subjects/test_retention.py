"""Which checkpoints stay once an experiment has ended, on both databases."""

from pathlib import Path

import pytest

from gauntlet.spec.asked.requests import ExperimentPatch
from gauntlet.spec.asked.retention import Keep
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.presets import overlay
from store import events
from store.database import Database
from store.queue import jobs
from store.storage import FolderStorage
from store.subjects import annotations, checkpoints, evaluations, experiments, retention, runs
from tests.evaluations import FGSM, imported, queued
from tests.store.recorded import record, record_with_averages, submit
from worker.beside.sweeper import sweep

EPOCHS = {1: 0.2, 2: 0.6, 3: 0.9, 4: 0.6}


@pytest.mark.parametrize(
    ("keep", "stay"),
    [
        ({}, {3, 4}),
        ({"best": 0}, {4}),
        ({"best": 2}, {2, 3, 4}),
        ({"best": 0, "last": 2}, {3, 4}),
        ({"best": 0, "every": 2}, {2, 4}),
        ({"best": 0, "every": 3}, {3, 4}),
        ({"last": 9}, {1, 2, 3, 4}),
    ],
)
def test_what_stays(keep: dict[str, int], stay: set[int]) -> None:
    """The last always; of those with equal accuracy the earlier is the better one."""
    assert Keep.model_validate(keep).chosen(EPOCHS) == stay


def trained(database: Database, spec: ExperimentSpec, keep: Keep | None, *, end: bool = True) -> tuple[str, str]:
    """An experiment whose run kept every epoch, and the run; its evaluation, of epoch 3, is over if `end` says so."""
    every = ExperimentSpec.model_validate(overlay(spec.model_dump(mode="json"), {"training": {"checkpoint_every": 1}}))
    experiment, held = submit(database, every)
    with database.writing() as session:
        patch = ExperimentPatch(keep=keep)
        annotations.change_experiment(session, experiments.get(session, experiment), patch)
    for epoch in EPOCHS:
        with database.writing() as session:
            runs.record_epoch(session, held, record(every, epoch, keep=True))
    with database.writing() as session:
        (evaluation,) = runs.complete(session, held)
        if end:
            evaluations.cancel(session, evaluation)
    return experiment, held.id


def kept(database: Database, run: str) -> list[int | None]:
    with database.reading() as session:
        return [row.epoch for row in checkpoints.page(session, run=run, after=None, limit=10).rows]


def pruned(database: Database) -> int:
    with database.reading() as session:
        due = retention.due(session)
    with database.writing() as session:
        return sum(retention.prune(session, experiment) for experiment in due)


def test_the_rest_goes_once_all_has_ended(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Not while an evaluation waits; what was evaluated stays, and asked again nothing more goes."""
    keep = Keep(best=0)
    _, busy = trained(database, tiny_spec, keep, end=False)
    _, ended = trained(database, tiny_spec, keep)
    assert pruned(database) == 2
    assert (kept(database, busy), kept(database, ended)) == ([4, 3, 2, 1], [4, 3])
    assert pruned(database) == 0
    with database.reading() as session:
        (told,) = [
            event for event in events.page(session, subject=ended, after=None, limit=100).rows if event.kind == "pruned"
        ]
    assert told.message == "Checkpoints that the experiment does not keep are deleted: of epochs 1, 2."


def test_weights_and_their_average_have_a_best_one_each(database: Database, tiny_spec: ExperimentSpec) -> None:
    """The weights of epoch 3 and the average of epoch 2, and the last of both; the event names each epoch once."""
    experiment, held = submit(database, tiny_spec)
    with database.writing() as session:
        patch = ExperimentPatch(keep=Keep(best=1))
        annotations.change_experiment(session, experiments.get(session, experiment), patch)
    record_with_averages(database, held, tiny_spec)
    with database.writing() as session:
        for evaluation in runs.complete(session, held):
            evaluations.cancel(session, evaluation)
    assert pruned(database) == 4
    with database.reading() as session:
        rows = checkpoints.page(session, run=held.id, after=None, limit=10).rows
        (told,) = [
            event
            for event in events.page(session, subject=held.id, after=None, limit=100).rows
            if event.kind == "pruned"
        ]
    assert {(row.epoch, row.averaged) for row in rows} == {(3, False), (4, False), (2, True), (4, True)}
    assert told.message.endswith("of epochs 1, 2, 3.")


def test_all_stays_of_whoever_said_nothing_and_what_others_stand_on(
    database: Database, tiny_spec: ExperimentSpec
) -> None:
    """Without `keep`; and with it what was evaluated by itself, started from, or is a source of examples."""
    _, all_of_it = trained(database, tiny_spec, None)
    _, run = trained(database, tiny_spec, Keep(best=0))
    with database.reading() as session:
        by_epoch = {row.epoch: row.id for row in checkpoints.page(session, run=run, after=None, limit=10).rows}
    queued(database, imported(database, "one"), {"kind": "transfer", "eps": "8/255", "source": by_epoch[1]})
    queued(database, by_epoch[2], FGSM)
    assert pruned(database) == 0
    assert kept(database, all_of_it) == kept(database, run) == [4, 3, 2, 1]


def test_checkpoints_of_a_run_that_may_be_retried_stay(database: Database, tiny_spec: ExperimentSpec) -> None:
    """Among them may be the best of what the retry will have."""
    every = ExperimentSpec.model_validate(
        overlay(tiny_spec.model_dump(mode="json"), {"training": {"checkpoint_every": 1}})
    )
    experiment, held = submit(database, every)
    with database.writing() as session:
        patch = ExperimentPatch(keep=Keep(best=0))
        annotations.change_experiment(session, experiments.get(session, experiment), patch)
    for epoch in (1, 2):
        with database.writing() as session:
            runs.record_epoch(session, held, record(every, epoch, keep=True))
    with database.writing() as session:
        jobs.finish(session, held, "failed", "out_of_memory")
    assert pruned(database) == 0
    assert kept(database, held.id) == [2, 1]


def test_the_files_go_with_the_same_sweep(database: Database, tiny_spec: ExperimentSpec, tmp_path: Path) -> None:
    """As what no row names; those of the checkpoints that stay are left."""
    _, run = trained(database, tiny_spec, Keep(best=0))
    storage = FolderStorage(tmp_path / "checkpoints")
    with database.writing() as session:
        for row in checkpoints.page(session, run=run, after=None, limit=10).rows:
            row.path = storage.write(f"{run}/attempt-1/{row.epoch}", b"content").path
    sweep(database, storage, events_days=30, audit_days=30, retry_days=7)
    assert sorted(file.name for file in storage.root.rglob("*") if file.is_file()) == ["3", "4"]
