"""What it costs a training that a worker does it: a plain loop over `train`, and a worker's job, in turn.

Both train the same run on handwritten digits, with the accuracies after each epoch. The job has all that a worker's
has: a lease that is renewed every second, progress, its log and rows, a training state every 30 seconds and after each
epoch, two checkpoints on the disk, and the events. An epoch of these 1,437 images takes seconds; the longer it is, the
less all of that is of it. Seconds are of this process on a processor, its threads' too, so that others' work counts
less; those of the wall, in which a disk is waited for, stand beside them. A ratio is the median of the rounds' own.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import describe_machine
from benchmarks.studies.record import code_commit
from gauntlet.data.datasets import load_dataset
from gauntlet.spec.experiment import ExperimentSpec, RunSpec
from gauntlet.training.loop import train
from store.database import Database, migrate
from store.queue import jobs
from store.subjects import experiments
from worker.jobs.heartbeat import Heartbeat, beating
from worker.jobs.job_log import JobLog
from worker.jobs.training_job import train_run
from worker.settings import WorkerSettings

_WANTED = 1.02
_CPU = torch.device("cpu")


def main() -> None:
    """Measure, print and write what came out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    load = os.getloadavg()[0]
    spec = ExperimentSpec.model_validate(
        {
            "name": "cost",
            "dataset": {"name": "digits"},
            "objectives": [{"kind": "cross_entropy"}],
            "adversary": {"kind": "fgsm", "eps": "8/255"},
            "training": {"epochs": options.epochs, "checkpoint_every": options.epochs // 2, "compile": "off"},
        }
    )
    run = spec.runs()[0][1]
    with tempfile.TemporaryDirectory() as folder:
        settings = WorkerSettings(
            home=Path(folder), database_url=f"sqlite:///{folder}/gauntlet.db", device="cpu", threads=1
        )
        migrate(settings.database_url)
        database = Database(settings.database_url, kept=1)
        ways: dict[str, Callable[[], object]] = {
            "loop": lambda: _loop(run),
            "job": lambda: _job(database, settings, spec),
        }
        _job(database, settings, spec.model_copy(update={"training": run.training.model_copy(update={"epochs": 1})}))
        rounds = [{name: _timed(way) for name, way in ways.items()} for _ in range(options.rounds)]
        database.close()
    result: dict[str, Any] = {
        "machine": describe_machine() | {"load_before": round(load, 1)},
        "commit": code_commit(),
        "epochs": options.epochs,
    }
    for clock in ("processor", "wall"):
        ratios = [each["job"][clock] / each["loop"][clock] for each in rounds]
        result[clock] = {
            "loop_s": round(statistics.median(each["loop"][clock] for each in rounds), 2),
            "job_s": round(statistics.median(each["job"][clock] for each in rounds), 2),
            "ratio": round(statistics.median(ratios), 4),
            "ratio_range": [round(min(ratios), 4), round(max(ratios), 4)],
        }
    result["wanted"] = f"a ratio of at most {_WANTED}"
    told = json.dumps(result, indent=1)
    print(told)
    if options.out is not None:
        options.out.write_text(told + "\n")


def _timed(work: Callable[[], object]) -> dict[str, float]:
    processor, wall = time.process_time(), time.monotonic()
    work()
    return {"processor": time.process_time() - processor, "wall": time.monotonic() - wall}


def _loop(run: RunSpec) -> None:
    """As who has the library alone trains."""
    data = load_dataset(run.dataset, Path("unused"))
    for _ in train(run, data, device=_CPU):
        pass


def _job(database: Database, settings: WorkerSettings, spec: ExperimentSpec) -> None:
    """As a worker does it, in this process."""
    with database.writing() as session:
        (run_id,) = experiments.create(session, spec, None)[1]
        held = jobs.claim(session, "run", run_id, settings.worker_name, settings.lease_s)
    if held is None:
        sys.exit("The run could not be claimed.")
    log = JobLog(database, held)
    with beating(Heartbeat(database, held, settings, log)) as (heartbeat,):
        train_run(database, held, settings, heartbeat, _CPU)
    log.store_last()


if __name__ == "__main__":
    main()
