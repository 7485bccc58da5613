"""What watching costs: 2,000 runs in the queue, 200 pollers, 1,000 listeners, and a run that trains all the while.

The API has a core for itself: it alone is kept to it, and ahead of whatever else the machine does there (`SCHED_RR`
where that is allowed). Tokens are on, the database is SQLite. On the other core a worker trains the paper's network on
the digits, and beside it those who watch compute, ahead of it (`SCHED_FIFO` where allowed), so that what they wait for
is the service and not the training; how late they come all the same is told as their own lag.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from benchmarks.serving.served import Served, served, working
from benchmarks.serving.watchers import in_ms
from gauntlet.client import GauntletClient
from gauntlet.spec.experiment import ExperimentSpec

API_CORES, OTHER_CORES = {0}, {1}
_SEEDS_AT_ONCE = 100
_STARTS_WITHIN_S = 120.0
_GRACE_S = 2.0
# As the page asks again, and as `gauntlet submit --watch` does.
PAGES_EVERY_S, CLIENTS_EVERY_S = 2.0, 0.5
_TRAINING: dict[str, Any] = {
    "name": "trains",
    "dataset": {"name": "digits"},
    "objectives": [{"kind": "cross_entropy"}],
    "adversary": {"kind": "fgsm", "eps": "8/255"},
    # To compile takes the first half minute of a long run.
    "training": {"epochs": 5_000, "checkpoint_every": 5_000, "compile": "off"},
    "evaluation": {"attacks": [{"kind": "fgsm", "eps": "8/255"}]},
}


@dataclass(frozen=True)
class Watched:
    """A service under work: the run that trains, and those that wait."""

    api: Served
    client: GauntletClient
    training: str
    waiting: list[str]


@contextmanager
def busy(runs: int) -> Iterator[Watched]:
    """A service with so many queued runs and one that trains."""
    with ExitStack() as ended:
        api = ended.enter_context(served(API_CORES))
        client = ended.enter_context(api.client("admin"))
        training = ended.enter_context(trained(api, client))
        for start in range(0, runs, _SEEDS_AT_ONCE):
            seeds = list(range(start, min(start + _SEEDS_AT_ONCE, runs)))
            client.submit(ExperimentSpec.model_validate(_TRAINING | {"name": "waits", "seeds": seeds}))
        waiting = [run.id for run in client.runs(status=["queued"])]
        assert len(waiting) == runs, len(waiting)
        yield Watched(api, client, training, waiting)


@contextmanager
def trained(api: Served, client: GauntletClient) -> Iterator[str]:
    """A run that trains as long as the block."""
    (run,) = client.runs(client.submit(ExperimentSpec.model_validate(_TRAINING)).id)
    with working(api):
        deadline = time.monotonic() + _STARTS_WITHIN_S
        while (seen := client.run(run.id)).progress is None or seen.status != "running":
            if time.monotonic() > deadline:
                raise RuntimeError(f"The run did not start to train: {seen}")
            time.sleep(0.5)
        yield run.id


def measure_polling(runs: int, pollers: int, seconds: float, every_s: float, *, tags: bool) -> dict[str, Any]:
    """How soon a status is answered to pollers, with the tag that they have or without."""
    with busy(runs) as watched:
        before = watched.client.run(watched.training).progress
        found, _ = watch(_poll_order(watched, pollers, seconds, every_s, tags=tags)).communicate()
        after = watched.client.run(watched.training).progress
    assert before is not None
    assert after is not None
    return {
        "queued_runs": runs,
        "pollers": pollers,
        "every_s": every_s,
        "seconds": seconds,
        **read(found),
        f"trained_{after.unit}_meanwhile": after.completed - before.completed,
    }


def measure_streaming(
    runs: int, pollers: int, listeners: int, seconds: float, every_s: float, event_every_s: float = 0.5
) -> dict[str, Any]:
    """How soon an event has reached every listener, beside the pollers.

    Runs are cancelled one after the other, and the run that trains tells of its epochs. What counts is from the moment
    that an event's row was written, before its commit and by the database's clock, until the last listener read it.
    """
    with busy(runs) as watched:
        order = {"work": "listen", "port": watched.api.settings.port, "token": watched.api.tokens["read"]}
        order |= {"listeners": listeners, "seconds": seconds, "cores": list(OTHER_CORES), "first": True}
        listening = watch(order)
        assert listening.stdout is not None
        opened = json.loads(listening.stdout.readline())["opened"]
        polling = watch(_poll_order(watched, pollers, seconds - 5, every_s, tags=False))
        ends = time.monotonic() + seconds - 8
        for run in reversed(watched.waiting):
            if time.monotonic() > ends:
                break
            watched.client.cancel_run(run)
            time.sleep(event_every_s)
        heard = read(listening.communicate()[0])
        polled = read(polling.communicate()[0])
        first = min(map(int, heard["came"]))
        written = {event.id: event.created_at.timestamp() for event in watched.client.events(after=first - 1)}
    return _reached(heard, written, opened) | {
        "queued_runs": runs,
        "seconds": seconds,
        "pollers_beside": {"pollers": pollers, "every_s": every_s} | polled,
    }


def _reached(heard: dict[str, Any], written: dict[int, float], opened: int) -> dict[str, Any]:
    """Of the events that were heard: how many reached every listener, and when the last had each."""
    came = {int(identifier): found for identifier, found in heard.pop("came").items()}
    # What was written while some streams were still being opened is news to a part of them, and those that are being
    # closed miss the last events.
    first, last = heard.pop("began"), heard.pop("ended") - _GRACE_S
    events = [identifier for identifier in came if first < written[identifier] < last]
    late = [came[identifier][1] - written[identifier] for identifier in events]
    return {
        "listeners": heard.pop("opened"),
        "events": len(events),
        "events_that_reached_all": sum(came[identifier][0] == opened for identifier in events),
        "until_the_last_listener_ms": in_ms(late),
    } | heard


def _poll_order(watched: Watched, pollers: int, seconds: float, every_s: float, *, tags: bool) -> dict[str, Any]:
    paths = [f"/v1/runs/{run}" for run in (watched.training, *watched.waiting)][:pollers]
    return poll_order(watched.api.settings.port, watched.api.tokens["read"], paths, seconds, every_s, tags=tags)


def poll_order(
    port: int, token: str, paths: Sequence[str], seconds: float, every_s: float, *, tags: bool
) -> dict[str, Any]:
    """What `watch` is to do for pollers, one for each path."""
    return {
        "work": "poll",
        "port": port,
        "token": token,
        "paths": list(paths),
        "every_s": every_s,
        "warm_s": 3.0,
        "seconds": seconds - 3.0,
        "tags": tags,
        "cores": list(OTHER_CORES),
        "first": True,
    }


def watch(order: dict[str, Any]) -> "subprocess.Popen[str]":
    """Those who watch, in a process of their own; `read` what it writes in the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.serving.watchers"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(order) + "\n")
    process.stdin.flush()
    return process


def read(written: str) -> dict[str, Any]:
    """What they saw."""
    found: dict[str, Any] = json.loads(written.splitlines()[-1])
    return found
