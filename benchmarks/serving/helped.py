"""How much sooner an evaluation is done when other workers have nothing else to do: AutoAttack, alone and helped.

    python -m benchmarks.serving.helped                                           # a second worker
    python -m benchmarks.serving.helped --workers 4 --share 0.4 --images 120      # four on two cores, as root

One worker with one slot of one thread holds the evaluation; the others are started for the second half of each round.
All read the same SQLite file, and there is no broker: a worker finds what there is to do by itself. The network has
been trained on handwritten digits for a few epochs, and 40 test images are attacked in batches of 5: each part of
AutoAttack waits for the last batch of the one before it, where more than 1,000 images have others to go on with.
Seconds are those between the evaluation's start and its end, as its row has them. With `--share` a control group
holds each worker, the one that is alone too, to so much of a core, so that more of them fit than there are cores.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import describe_machine
from benchmarks.studies.record import code_commit
from gauntlet.data.datasets import load_dataset
from gauntlet.events import CheckpointReady
from gauntlet.models.checkpoints import encode_weights
from gauntlet.spec.checkpoint_card import CheckpointCard, Imported
from gauntlet.spec.evaluations.evaluation import EvaluationRequest
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.training.loop import train
from store.database import Database, db_now, migrate
from store.models import Checkpoint, Worker, new_id
from store.storage import FolderStorage
from store.subjects import deletions, evaluation_requests, evaluations

# By the number of workers.
_WANTED = {2: 0.6, 4: 0.3}
# Of the first version, as whoever may write here finds it.
_CONTROL_GROUPS = Path("/sys/fs/cgroup/cpu")
_PERIOD_US = 20_000
_NO_BROKER = "redis+socket:///nonexistent/broker.sock"
_SPEC = {
    "name": "helped",
    "dataset": {"name": "digits"},
    "objectives": [{"kind": "cross_entropy"}],
    "adversary": {"kind": "fgsm", "eps": "32/255"},
    "training": {"epochs": 8, "batch_size": 32, "optimizer": {"kind": "rmsprop", "lr": 1e-3}, "compile": "off"},
}


def main() -> None:
    """Measure, print and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--workers", type=int, default=2, help="with the one that holds the evaluation")
    parser.add_argument("--share", type=float, help="of a core, which no worker has more of; all there is without")
    parser.add_argument("--eps", default="24/255")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        rounds = _measure(Path(folder), options)
    ratio = statistics.median(each["helped_s"] / each["alone_s"] for each in rounds)
    result = {
        "machine": describe_machine() | {"load_before": round(load, 1)},
        "commit": code_commit(),
        "images": options.images,
        "eps": options.eps,
        "workers": options.workers,
        "share_of_a_core": options.share,
        "rounds": rounds,
        "ratio": round(ratio, 3),
        "wanted": f"at most {_WANTED[options.workers]}" if options.workers in _WANTED else None,
    }
    told = json.dumps(result, indent=1)
    print(told)
    if options.out is not None:
        options.out.write_text(told + "\n")


def _measure(home: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    url = f"sqlite:///{home / 'gauntlet.db'}"
    migrate(url)
    database = Database(url)
    checkpoint = _checkpoint(database, FolderStorage(home / "checkpoints"))
    rounds = []
    with _worker(database, home, url, "own", options.share):
        for _ in range(options.rounds):
            alone, outcome = _evaluated(database, checkpoint, options)
            with ExitStack() as helpers:
                for number in range(1, options.workers):
                    helpers.enter_context(_worker(database, home, url, f"helper-{number}", options.share))
                helped, same = _evaluated(database, checkpoint, options)
            if outcome != same:
                raise SystemExit("The helped evaluation has another outcome.")
            rounds.append({"alone_s": round(alone, 1), "helped_s": round(helped, 1)})
            print(rounds[-1], file=sys.stderr)
    return rounds


def _checkpoint(database: Database, storage: FolderStorage) -> str:
    """A network that withstands some of the attack; returns the id of its row."""
    run = ExperimentSpec.model_validate(_SPEC).runs()[0][1]
    data = load_dataset(run.dataset, Path("unused"))
    trained = [event for event in train(run, data, device="cpu") if isinstance(event, CheckpointReady)][-1]
    card = CheckpointCard(
        architecture=run.architecture,
        normalisation=run.normalisation,
        dataset=run.dataset,
        classes=data.classes,
        image_shape=run.dataset.image_shape,
        origin=Imported(name="helped"),
    )
    file = storage.write("helped.safetensors", encode_weights(trained.state.model, card))
    row = Checkpoint(
        id=new_id("ckpt"),
        created_at=db_now(),
        card=card.model_dump(mode="json"),
        path=file.path,
        sha256=file.sha256,
        bytes=file.bytes,
        metrics={},
    )
    with database.writing() as session:
        session.add(row)
    return row.id


def _evaluated(database: Database, checkpoint: str, options: argparse.Namespace) -> tuple[float, Any]:
    """How long AutoAttack took, and what it found; then it is forgotten, so that it is done again."""
    asked = {
        "checkpoint": checkpoint,
        "attacks": [{"kind": "autoattack", "eps": options.eps}],
        "samples": options.images,
        "batch_size": 5,
    }
    with database.writing() as session:
        queued = evaluation_requests.create(session, EvaluationRequest.model_validate(asked), None)
        (identifier,) = (evaluation.id for evaluation in queued.evaluations)
    while True:
        with database.reading() as session:
            evaluation = evaluations.get(session, identifier)
        if evaluation.status == "failed":
            raise SystemExit(f"The evaluation failed: {evaluation.status_detail}")
        if evaluation.started_at is not None and evaluation.finished_at is not None:
            break
        time.sleep(0.2)
    with database.writing() as session:
        deletions.delete_evaluation(session, evaluations.get(session, identifier))
    return evaluation.finished_at - evaluation.started_at, evaluation.outcome


@contextmanager
def _worker(database: Database, home: Path, url: str, name: str, share: float | None) -> Iterator[None]:
    """A worker with one slot, ready when the block begins, that has at most `share` of a core."""
    environment = {
        "GAUNTLET_HOME": str(home),
        "GAUNTLET_DATABASE_URL": url,
        "GAUNTLET_BROKER_URL": _NO_BROKER,
        "GAUNTLET_DEVICE": "cpu",
        "GAUNTLET_WORKER_SLOTS": "1",
        "GAUNTLET_THREADS": "1",
        "GAUNTLET_WORKER_NAME": name,
    }
    with (home / f"{name}.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", "worker"], env=os.environ | environment, stderr=log)
    with _held_to(share, process):
        try:
            _await_presence(database, name, process)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


@contextmanager
def _held_to(share: float | None, process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Give the process, and those that it starts, so much of a core until it has ended, which the block sees to."""
    if share is None:
        yield
        return
    group = _CONTROL_GROUPS / f"gauntlet-{process.pid}"
    group.mkdir()
    (group / "cpu.cfs_period_us").write_text(str(_PERIOD_US))
    (group / "cpu.cfs_quota_us").write_text(str(round(share * _PERIOD_US)))
    (group / "cgroup.procs").write_text(str(process.pid))
    yield
    while (group / "cgroup.procs").read_text():
        time.sleep(0.1)
    group.rmdir()


def _await_presence(database: Database, name: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until the worker has looked at its device and says that it is there."""
    while process.poll() is None:
        with database.reading() as session:
            if session.get(Worker, name) is not None:
                return
        time.sleep(0.1)
    raise SystemExit("The worker ended.")


if __name__ == "__main__":
    main()
