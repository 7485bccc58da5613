"""A store with something of everything: what is done, under way, waiting, broken, hostile and long."""

import io
import math
import random
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from PIL import Image, ImageDraw
from sqlalchemy import insert

import gauntlet
from benchmarks.serving.served import Served
from benchmarks.serving.stored import do_an_experiment
from gauntlet.spec.experiment import ExperimentSpec
from service.settings import ServiceSettings
from store.database import Database
from store.models import EpochMetrics, Run
from store.queue import controls, jobs, workers
from store.queue.jobs import Claim, JobProgress
from store.queue.workers import Presence
from store.subjects import experiments, runs
from store.subjects.runs import EpochRecord
from worker.beside.unpacker import Unpacker
from worker.settings import WorkerSettings

HOSTILE: Final = "<img src=x onerror=\"document.title='taken over'\"> & 'more' \u202egnp.exe"
_LONGEST: Final = "a" + "-name-without-any-place-to-break-it-" * 5
_WORKER: Final = "gpu-07.lab.example:4102"
_HOUR_S: Final = 3_600.0
_FINISHED: Final[dict[str, Any]] = {
    "name": "Reward or cross-entropy, on digits",
    "dataset": {"name": "digits", "train_samples": 200},
    "objectives": [{"kind": "cross_entropy"}, {"kind": "policy_gradient"}],
    "adversary": {"kind": "fgsm", "eps": "32/255"},
    "training": {"epochs": 8, "checkpoint_every": 4, "optimizer": {"kind": "rmsprop", "lr": 1e-3, "decay": 1e-6}},
    "seeds": [0, 1],
    "evaluation": {
        "select": ["best_fgsm"],
        "attacks": [
            {"kind": "fgsm", "eps": "32/255"},
            {"kind": "pgd", "steps": 10, "eps": ["8/255", "16/255", "32/255"]},
        ],
        "samples": 32,
        "masking": {"samples": 4},
    },
}
_CIFAR: Final[dict[str, Any]] = {"preset": "paper", "seeds": [0, 1, 2]}
# What training tells of an epoch: how each metric begins, where it ends, and how much of the way an epoch goes.
_COURSES: Final = {
    "train_accuracy": (0.12, 0.86, 0.02),
    "test_accuracy": (0.13, 0.66, 0.03),
    "test_fgsm_accuracy": (0.10, 0.39, 0.03),
    "train_adversarial_accuracy": (0.11, 0.47, 0.02),
    "loss": (2.30, 1.35, 0.02),
    "learning_rate": (1e-4, 8e-5, 0.01),
    "mean_confidence": (0.11, 0.52, 0.02),
    "min_log_prob": (-3.0, -14.0, 0.02),
}


def furnish(served: Served) -> None:
    """Put it all there, through the API where that can be; two minutes of one core."""
    # More would wait for each other on pictures of eight by eight.
    torch.set_num_threads(1)
    settings = served.settings
    database = Database(settings.database_url)
    do_an_experiment(settings, _FINISHED)
    with database.writing() as session:
        workers.enter(session, Presence(_WORKER, 4, gauntlet.__version__))
        workers.enter(session, Presence("cpu-01.lab.example:77", 2, gauntlet.__version__))
    _begin(database, _CIFAR | {"name": "The paper at full scale, three seeds"}, epochs=(148, 139, 77), of=220)
    _begin(database, _CIFAR | {"name": HOSTILE}, epochs=(31, 12), of=220, failing="diverged")
    with database.writing() as session:
        for name, epochs in ((_LONGEST, 40), ("Queued behind the others", 12)):
            spec = ExperimentSpec.model_validate(_CIFAR | {"name": name, "training": {"epochs": epochs}})
            experiments.create(session, spec, None, owner="ada", labels=["paper", "to be looked at again in spring"])
    with database.writing() as session:
        paused, _ = experiments.create(session, ExperimentSpec.model_validate(_CIFAR | {"name": "Makes room"}), None)
        controls.pause(session, Run, Run.experiment_id == paused.id)
    with served.client("admin") as client, tempfile.TemporaryDirectory() as folder:
        archives = {
            "Traffic signs": _archive(("stop", "yield", "keep right")),
            HOSTILE: _archive(("<b>one</b>", "two")),
        }
        for name, content in archives.items() | {("No archive at all", b"PK, or so it says")}:
            archive = Path(folder) / "pictures.zip"
            archive.write_bytes(content)
            client.upload_dataset(archive, name=name, test_fraction=0.2)
        for owner, scope in (("ada", "submit"), ("grace", "read"), ("x" * 60, "read")):
            client.create_token({"owner": owner, "scope": scope, "name": "made for the lab's notebooks"})
    unpacker_settings = WorkerSettings(
        home=settings.home, database_url=settings.database_url, broker_url=settings.broker_url
    )
    Unpacker(database, unpacker_settings).look()
    database.close()


def store_many_runs(settings: ServiceSettings, seeds: int, epochs: int) -> str:
    """An experiment of two objectives by so many seeds, with so many epochs of eight metrics each; returns its id."""
    database = Database(settings.database_url)
    document = {"preset": "paper", "name": "Many runs", "seeds": list(range(seeds)), "training": {"epochs": epochs}}
    with database.writing() as session:
        experiment, waiting = experiments.create(session, ExperimentSpec.model_validate(document), None)
        identifier = experiment.id
    for place, run in enumerate(waiting):
        held = _claim(database, run)
        with database.writing() as session:
            rows = [
                {"run_id": run, "epoch": epoch, "metrics": metrics, "seconds": 9.5, "images_per_second": 5_260.0}
                for epoch, metrics in enumerate(_course(epochs, place), start=1)
            ]
            session.execute(insert(EpochMetrics), rows)
            jobs.finish(session, held, "succeeded")
    database.close()
    return identifier


def _begin(
    database: Database, document: dict[str, Any], *, epochs: Sequence[int], of: int, failing: str | None = None
) -> None:
    """An experiment whose first runs are so many epochs along; the first of them fails, if a reason is named."""
    with database.writing() as session:
        _, waiting = experiments.create(session, ExperimentSpec.model_validate(document), None)
    for place, (run, done) in enumerate(zip(waiting, epochs, strict=False)):
        held = _claim(database, run)
        _train(database, held, done, of, place)
        if failing and place == 0:
            with database.writing() as session:
                jobs.finish(session, held, "failed", failing, f"The loss of epoch {done + 1} is not finite.")


def _claim(database: Database, run: str) -> Claim:
    with database.writing() as session:
        held = jobs.claim(session, "run", run, _WORKER, _HOUR_S)
        assert held is not None
        jobs.note_device(session, held, "NVIDIA H200")
    return held


def _train(database: Database, held: Claim, epochs: int, of: int, place: int) -> None:
    """Epochs as a worker records them."""
    with database.writing() as session:
        for epoch, metrics in enumerate(_course(epochs, place), start=1):
            runs.record_epoch(session, held, EpochRecord(epoch, metrics, seconds=9.5, images_per_second=5_260.0))
        progress = JobProgress("training", epochs * 1_563, of * 1_563, "batches", eta_s=(of - epochs) * 9.5)
        jobs.renew(session, held, _HOUR_S, progress)


def _course(epochs: int, seed: int) -> Iterator[dict[str, float]]:
    """Metrics of each epoch that go as real ones do, by the seed's own pace."""
    chance = random.Random(seed)  # noqa: S311  # noise to be drawn, the same each time
    pace = chance.uniform(0.7, 1.3)
    for epoch in range(1, epochs + 1):
        yield {
            name: end + (begin - end) * math.exp(-pace * rate * epoch) + chance.gauss(0, 0.006) * abs(end - begin)
            for name, (begin, end, rate) in _COURSES.items()
        }


def _archive(classes: Sequence[str]) -> bytes:
    """A zip of ten drawn pictures of each class."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for place, name in enumerate(classes):
            for number in range(10):
                picture = Image.new("RGB", (32, 32), (40 + 60 * place, 150 - 40 * place, 60 + 15 * number))
                ImageDraw.Draw(picture).ellipse((4, 4, 27, 27 - number), fill=(230, 230 - 20 * number, 60 * place))
                encoded = io.BytesIO()
                picture.save(encoded, "PNG")
                archive.writestr(f"{name.replace('/', '-')}/{number}.png", encoded.getvalue())
    return written.getvalue()
