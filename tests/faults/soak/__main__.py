"""`python -m tests.faults.soak --out FILE`: an hour of use in which any process is killed or stopped every 20 s.

An API, two workers and a broker on SQLite, or on PostgreSQL. Three users submit small experiments, cancel and pause
some, ask for evaluations and upload data sets, and compare what comes out with what came out undisturbed: metric rows,
weights' sha256, every attacked batch, outcomes. Every 20 s a process of a kind drawn by chance is ended by SIGKILL, or
stopped for up to 14 s, which is more than a lease: the API or one of the processes beside it, a worker, its fork
server, a job, an unpacker, the broker, a session of PostgreSQL, or a worker with all that belongs to it. At the end
nothing may be lost or doubled, and no file and no process may be left. FILE is written after each strike.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.studies.record import code_commit
from store.database import Database
from tests.broker import socket_path
from tests.e2e.system import System
from tests.faults.soak import verdict
from tests.faults.soak.memory import Memory
from tests.faults.soak.parts import Parts
from tests.faults.soak.strikes import EVERY_S, STOPPED_S, Striker
from tests.faults.soak.users import Findings, Undisturbed, User
from tests.postgres import create_database, running_postgres

_USERS = 3
# Seconds that a busy machine does not let run out; the rest as slow as what is done here allows.
_LEASE_S = 6.0
_SETTINGS = {
    "GAUNTLET_HEARTBEAT_S": "0.5",
    "GAUNTLET_RECONCILE_S": "1",
    "GAUNTLET_RETRY_S": "1",
    "GAUNTLET_SWEEP_S": "5",
    "GAUNTLET_STATE_EVERY_S": "0.5",
    "GAUNTLET_WORKER_SLOTS": "1",
}


def main() -> int:
    """Let an hour pass, write what happened, and say by the exit status whether all held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="Where the results go, as JSON; other databases' stay.")
    parser.add_argument("--database", choices=("SQLite", "PostgreSQL"), default="SQLite")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--every", type=float, default=EVERY_S, help="Seconds between strikes.")
    parser.add_argument(
        "--lease",
        type=float,
        default=_LEASE_S,
        help="Seconds; where others leave a job no processor for so long, it counts as one that died.",
    )
    parser.add_argument("--seed", type=int, default=0, help="Of whom it strikes, and of what users do.")
    parser.add_argument(
        "--home", type=Path, help="Where the system's files and logs are kept; else they go at the end."
    )
    asked = parser.parse_args()
    if asked.lease >= STOPPED_S[1]:
        parser.error(f"--lease is to be less than {STOPPED_S[1]:g}, the longest stop: none would run out")
    told: dict[str, Any] = json.loads(asked.out.read_text()) if asked.out.exists() else {}
    findings = Findings()
    with (
        findings.with_ended_threads(),
        _folder(asked.home) as folder,
        _database(asked.database, folder) as (url, postgres),
        socket_path() as socket,
    ):
        home = folder / "home"
        home.mkdir()
        settings = _SETTINGS | {"GAUNTLET_LEASE_S": f"{asked.lease:g}"}
        with System(home, url, f"redis+socket://{socket}", settings=settings) as system:
            with Parts(system, socket, postgres) as parts:
                found = _soak(system, parts, findings, asked, told)
                system_ended = parts
            found["logged"] = _complaints(system)
            found["verdict"]["faults_of_the_service"] = verdict.faults_of_the_service(system.logged("service"))
        system_ended.end_broker()
        found["wrong"] = findings.wrong
        found["verdict"]["processes_after_the_end"] = verdict.left_processes(system_ended)
        _write(asked, told, found)
    wrong = found["wrong"] or any(found["verdict"].values())
    sys.stdout.write("Something is wrong.\n" if wrong else "All held.\n")
    return 1 if wrong else 0


def _soak(
    system: System, parts: Parts, findings: Findings, asked: argparse.Namespace, told: dict[str, Any]
) -> dict[str, Any]:
    database = Database(system.database_url)
    undisturbed = Undisturbed(system, database, findings)
    memory, began = Memory(parts), time.monotonic()
    found: dict[str, Any] = {
        "machine": describe_machine() | {"load_before": round(os.getloadavg()[0], 1)},
        "commit": code_commit(),
        "began": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "seed": asked.seed,
        "every_s": asked.every,
        "lease_s": asked.lease,
        "broker": parts.broker,
    }

    def tell() -> None:
        found.update(
            {
                "minutes": round((time.monotonic() - began) / 60, 1),
                "strikes": len(striker.strikes),
                "by_kind": dict(
                    sorted(Counter(f"{each['kind']} {each['done'].split()[0]}" for each in striker.strikes).items())
                ),
                "restarts": parts.restarts,
                "held_back_s": striker.held_back_s,
                "asked": dict(findings.asked),
                "done": dict(findings.done),
                # Copies: other threads go on while this is written.
                "longest_s": dict(findings.longest_s),
                "wrong": list(findings.wrong),
                "memory": memory.shown(),
                "verdict": {},
                "all_strikes": striker.strikes,
            }
        )
        _write(asked, told, found)
        sys.stdout.write(
            f"{found['minutes']} min: {found['strikes']} strikes, {found['done']}, {len(findings.wrong)} wrong\n"
        )
        sys.stdout.flush()

    striker = Striker(parts, database, random.Random(asked.seed), tell, asked.every)
    users = [
        User(system, database, undisturbed, random.Random(f"{asked.seed} {number}"), system.home, findings)
        for number in range(_USERS)
    ]
    memory.start()
    striker.start()
    for user in users:
        user.start()
    time.sleep(60 * asked.minutes)
    striker.stop()
    for user in users:
        user.over.set()
    for user in users:
        user.join()
    memory.stop()
    tell()
    found["verdict"] = verdict.reach(system, database, parts, findings.kept)
    found["verdict"]["too_few_strikes"] = verdict.too_few_strikes(len(striker.strikes), asked.minutes, asked.every)
    _write(asked, told, found)
    database.close()
    return found


def _complaints(system: System) -> dict[str, int]:
    """How often the processes logged what is no warning."""
    said = Counter[str]()
    for module in ("service", "worker"):
        for line in system.logged(module).splitlines():
            for grave in verdict.GRAVE:
                said[f"{module} {grave}"] += grave in line
    return dict(said)


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="gauntlet-soak-", dir="/tmp") as name:
        yield Path(name)


@contextmanager
def _database(kind: str, folder: Path) -> Iterator[tuple[str, Path | None]]:
    """Its URL, and the folder of the server; one that is killed has to keep what it has committed."""
    if kind == "SQLite":
        yield f"sqlite:///{folder / 'gauntlet.db'}", None
        return
    with running_postgres(durable=True) as server:
        yield create_database(server, "soak"), Path(server.partition("host=")[2])


def _write(asked: argparse.Namespace, told: dict[str, Any], found: dict[str, Any]) -> None:
    told[asked.database] = found
    asked.out.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
