"""How the service answers under load: each figure by itself, into one file.

With `--only` the file keeps what was measured before, on the same machine; all of it begins a file anew.

    python -m benchmarks.serving.load --only status --out benchmarks/results/load.json

What runs where: the API, with the processes that it starts, has core 0 alone; the broker, a worker that trains
where the section says so, and whoever asks have core 1. Tokens are on, the database is SQLite on the machine's disk.

status         GET /v1/runs/{id} of 200 pollers over 2,000 queued runs and one that trains. A closed loop: each poller
               has a kept connection, a run of its own, and asks again 2 s after an answer, as the page does; nobody
               sends an ETag. From the first byte sent to the last one read, after 3 s that are not counted.
not_modified   the same, each poller with the ETag of its last answer; what counts are the answers 304.
status_often, not_modified_often
               both again, 0.5 s after an answer, as `gauntlet submit --watch` asks: 400 requests a second.
bare           a server that does nothing, with the pollers of `not_modified`: `benchmarks.serving.bare`.
stream         1,000 streams of all events, open beside the 200 pollers of `status`, while a run is cancelled every
               half second and another trains: from the writing of an event's row until the last stream has read it.
lookups        lists, leaderboard and JSON report with 10 and with 10,000 experiments, each request once a round to
               either service in turn; the ratio is the median of the rounds' own.
report         the HTML report of 6 runs and 2 objectives, of copies that are asked for once each, so made anew;
               beside a run that trains.
classifying    one picture of 32 × 32 pixels, and 64 in one request, for the paper's network: `classified`.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import describe_machine
from benchmarks.serving.bare import measure_bare
from benchmarks.serving.classified import measure_classifying
from benchmarks.serving.crowded import measure_lookups, measure_report
from benchmarks.serving.watching import CLIENTS_EVERY_S, OTHER_CORES, PAGES_EVERY_S, measure_polling, measure_streaming
from benchmarks.studies.record import code_commit


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for, and write each section as soon as it is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2_000, help="that wait")
    parser.add_argument("--pollers", type=int, default=200)
    parser.add_argument("--every", type=float, default=PAGES_EVERY_S, help="seconds between an answer and a request")
    parser.add_argument("--listeners", type=int, default=1_000)
    parser.add_argument("--experiments", type=int, nargs=2, default=[10, 10_000])
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--reports", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=45.0, help="of each measurement over time")
    parser.add_argument("--mlflow", type=Path, help="the Python of an environment with mlflow-requirements.txt")
    parser.add_argument("--only", nargs="+", help="sections, by name; all without")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)

    watching = options.runs, options.pollers
    few, many = options.experiments
    sections: dict[str, Callable[[], dict[str, Any]]] = {
        "status": lambda: measure_polling(*watching, options.seconds, options.every, tags=False),
        "not_modified": lambda: measure_polling(*watching, options.seconds, options.every, tags=True),
        "status_often": lambda: measure_polling(*watching, options.seconds, CLIENTS_EVERY_S, tags=False),
        "not_modified_often": lambda: measure_polling(*watching, options.seconds, CLIENTS_EVERY_S, tags=True),
        "bare": lambda: measure_bare(options.pollers, options.seconds, options.every),
        "stream": lambda: measure_streaming(*watching, options.listeners, options.seconds, options.every),
        "lookups": lambda: measure_lookups(few, many, options.rounds),
        "report": lambda: measure_report(options.reports),
        "classifying": lambda: measure_classifying(options.seconds / 5, options.mlflow),
    }
    if options.only and (unknown := set(options.only) - set(sections)):
        parser.error(f"There is no section {', '.join(sorted(unknown))}; there are {', '.join(sections)}.")
    kept: dict[str, Any] = {}
    if options.only and options.out is not None and options.out.exists():
        before = json.loads(options.out.read_text(encoding="utf-8"))
        if before["machine"] != describe_machine():
            parser.error(f"{options.out} is of another machine or other versions: name another file.")
        kept = before["sections"]
    # What is started here inherits it: all but the API.
    os.sched_setaffinity(0, OTHER_CORES)
    # torch counted the cores before: two of its threads on one would wait for each other.
    torch.set_num_threads(len(OTHER_CORES))
    for name in options.only or sections:
        before, started = os.getloadavg(), time.monotonic()
        found = sections[name]() | {
            "load_average_before": [round(value, 2) for value in before],
            "took_s": round(time.monotonic() - started, 1),
            "commit": code_commit(),
        }
        print(json.dumps({name: found}, indent=1), flush=True)
        kept |= {name: found}
        if options.out is not None:
            _write(options.out, kept)


def _write(file: Path, sections: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    document = {"machine": describe_machine(), "sections": sections}
    file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
