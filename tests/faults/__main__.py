"""`python -m tests.faults --out FILE`: kill the processes of whole systems hundreds of times, and compare every result.

On SQLite and on PostgreSQL, each with a broker, a service and a worker of its own: experiments of three seeds, one
after the other, whose processes are ended at one place after the other, the least tried first, until there were so many
kills and each place was tried with each seed; then long evaluations, three of whose helpers are ended. FILE grows with
each; where it is there already, what it has counts, so that hours can be had in parts.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine
from benchmarks.studies.record import code_commit
from tests.broker import REDIS, running_broker, socket_path
from tests.e2e.system import System
from tests.faults.matrix import OF_EXPERIMENTS, OF_HELPERS, Matrix
from tests.faults.tally import Tally
from tests.faults.work import SEEDS
from tests.packing import two_splits, write_tar
from tests.postgres import create_database, running_postgres

# A worker may be among those that end, and each time its leases are waited for: no longer than a busy machine needs.
_LEASE_S = 6.0


def run(matrix: Matrix, kills: int, archive: Path, tell: Callable[[Tally], None]) -> None:
    """End processes until that many were, and at each place; each result is compared with one that was left alone."""
    tally, undisturbed = matrix.tally, dict[int, list[Any]]()
    while seeds := [seed for seed in SEEDS if tally.all() < kills or tally.untried(seed, OF_EXPERIMENTS)]:
        for seed in seeds:
            if seed not in undisturbed:
                undisturbed[seed] = matrix.experiment(seed, disturbed=False)
            found = matrix.experiment(seed, disturbed=True)
            tally.experiments += 1
            tally.same += found == undisturbed[seed]
            assert found == undisturbed[seed], f"seed {seed} came out otherwise"
            matrix.upload(archive, seed)
            matrix.delete(seed)
            tell(tally)
    for seed in SEEDS:
        wanted = matrix.evaluation(seed, disturbed=False) if tally.untried(seed, OF_HELPERS) else []
        while tally.untried(seed, OF_HELPERS):
            assert matrix.evaluation(seed, disturbed=True) == wanted, f"an evaluation of seed {seed} came out otherwise"
            tally.helped += 1
            tell(tally)


@contextmanager
def databases(folder: Path) -> Iterator[dict[str, str]]:
    """A fresh one of each kind."""
    with running_postgres() as server:
        yield {
            "SQLite": f"sqlite:///{folder / 'sqlite.db'}",
            "PostgreSQL": create_database(server, "faults"),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="Where the results go, as JSON.")
    parser.add_argument(
        "--kills", type=int, default=300, help="How many on each database, at least, those in the file among them."
    )
    parser.add_argument("--only", choices=("SQLite", "PostgreSQL"), help="One database.")
    parser.add_argument("--seed", type=int, default=0, help="Of the choice of places.")
    parser.add_argument(
        "--lease",
        type=float,
        default=_LEASE_S,
        help="Seconds; where others leave a job no processor for so long, it counts as one that died.",
    )
    asked = parser.parse_args()
    began = time.monotonic()
    told: dict[str, Any] = {"turns": [], "databases": {}}
    if asked.out.exists():
        told = json.loads(asked.out.read_text())
    turn: dict[str, Any] = {
        "machine": describe_machine(),
        "commit": code_commit(),
        "load_before": round(os.getloadavg()[0], 1),
        "lease_s": asked.lease,
    }
    told["turns"].append(turn)
    with tempfile.TemporaryDirectory(prefix="gauntlet-faults-", dir="/tmp") as name, databases(Path(name)) as urls:
        archive = write_tar(Path(name) / "pets.tar", two_splits())
        for kind, url in urls.items():
            if asked.only not in (None, kind):
                continue

            def tell(tally: Tally, kind: str = kind) -> None:
                told["databases"][kind] = tally.shown()
                turn["seconds"] = round(time.monotonic() - began)
                asked.out.write_text(json.dumps(told, indent=1) + "\n")
                shown = tally.shown()
                sys.stdout.write(f"{kind}: {shown['kills']} kills, {shown['experiments']} experiments\n")
                sys.stdout.flush()

            tally = Tally.of(told["databases"].get(kind))
            home, orders = Path(name) / kind, Path(name) / kind / "orders"
            (orders / "carried-out").mkdir(parents=True)
            # With PostgreSQL goes Redis, where there is one.
            server = REDIS if kind == "PostgreSQL" else None
            turn.setdefault("brokers", {})[kind] = "Valkey" if server is None else "Redis"
            settings = {"GAUNTLET_LEASE_S": f"{asked.lease:g}", "GAUNTLET_WORKER_SLOTS": "1"}
            with (
                socket_path() as path,
                running_broker(path, server) as broker,
                System(home, url, broker, orders, settings) as system,
                Matrix(system, orders, random.Random(asked.seed), tally).at_work() as matrix,
            ):
                run(matrix, asked.kills, archive, tell)


if __name__ == "__main__":
    main()
