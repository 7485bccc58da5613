"""What ten thousand stored experiments cost whoever looks something up: the same requests to a service that has ten.

Both services run at once, with tokens on and SQLite, each asked in turn, so that a slow spell of the machine falls on
both. They hold copies of one small experiment that was really done, each with weights, names and ids of its own.
"""

import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import httpx2

from benchmarks.serving.served import Served, served
from benchmarks.serving.stored import SMALL, copy_experiment, do_an_experiment
from benchmarks.serving.watchers import in_ms
from benchmarks.serving.watching import API_CORES, trained

# As much as a study of a few seeds has: 6 runs of 20 epochs, 12 checkpoints evaluated under three attacks.
REPORTED: dict[str, Any] = {
    "name": "reported",
    "dataset": {"name": "digits", "train_samples": 64},
    "objectives": [{"kind": "cross_entropy"}, {"kind": "policy_gradient"}],
    "adversary": {"kind": "fgsm", "eps": "8/255"},
    "training": {"epochs": 20, "checkpoint_every": 10},
    "seeds": [0, 1, 2],
    "evaluation": {
        "select": ["best_fgsm", "last"],
        "attacks": [
            {"kind": "fgsm", "eps": "8/255"},
            {"kind": "fgsm", "eps": "16/255"},
            {"kind": "pgd", "eps": "8/255", "steps": 5},
        ],
        "samples": 100,
        "batch_size": 100,
    },
}
# What is asked for: a path for each round. An answer that is kept is made once and asked for again; the others name in
# each round something that nobody has asked for yet, so that they are made anew, as after a change.
Paths = Iterator[str]


def _asked(experiments: list[str]) -> dict[str, Callable[[], Paths]]:
    last = experiments[0]
    return {
        "experiments": lambda: itertools.repeat("/v1/experiments?limit=20"),
        "experiments by name": lambda: itertools.repeat("/v1/experiments?limit=20&order=name"),
        "experiments that succeeded, of a name": lambda: itertools.repeat(
            "/v1/experiments?limit=20&status=succeeded&name=small"
        ),
        "runs": lambda: itertools.repeat("/v1/runs?limit=20"),
        "runs that succeeded": lambda: itertools.repeat("/v1/runs?limit=20&status=succeeded"),
        "checkpoints": lambda: itertools.repeat("/v1/checkpoints?limit=20"),
        "evaluations": lambda: itertools.repeat("/v1/evaluations?limit=20"),
        "events of an experiment": lambda: itertools.repeat(f"/v1/experiments/{last}/events?limit=20"),
        "leaderboard, asked for again": lambda: itertools.repeat("/v1/leaderboard"),
        "leaderboard, made anew": lambda: (f"/v1/leaderboard?limit={limit}" for limit in itertools.count(20)),
        "JSON report, asked for again": lambda: itertools.repeat(f"/v1/experiments/{last}/report"),
        "JSON report, made anew": lambda: (f"/v1/experiments/{each}/report" for each in experiments[1:]),
        "usage": lambda: itertools.repeat("/v1/usage"),
        "metrics": lambda: itertools.repeat("/metrics"),
    }


def measure_lookups(few: int, many: int, rounds: int) -> dict[str, Any]:
    """The median time of each request with few and with many experiments, and the median of the rounds' own ratios."""
    with ExitStack() as ended:
        sides = [ended.enter_context(_holding(count)) for count in (few, many)]
        found = {}
        for name in _asked(sides[0].experiments):
            paths = [_asked(side.experiments)[name]() for side in sides]
            spent: list[list[float]] = [[], []]
            for _ in range(min(rounds, few - 2) if name.startswith("JSON report, made") else rounds):
                for side, path, seconds in zip(sides, paths, spent, strict=True):
                    seconds.append(side.seconds(next(path)))
            # The first of each may read what later ones find in memory.
            ratios = [late / early for early, late in zip(*(seconds[1:] for seconds in spent), strict=True)]
            found[name] = {
                f"ms_with_{few}": round(statistics.median(spent[0][1:]) * 1e3, 2),
                f"ms_with_{many}": round(statistics.median(spent[1][1:]) * 1e3, 2),
                "first_ms": [round(seconds[0] * 1e3, 1) for seconds in spent],
                "ratio": round(statistics.median(ratios), 2),
            }
        return {"experiments": [few, many], "rounds": rounds, "rows": found, "fill_seconds": sides[1].filled_s}


def measure_report(experiments: int) -> dict[str, Any]:
    """The HTML report of a done experiment, made anew: of so many copies, each asked for once; a run trains."""
    with _holding(experiments + 1, REPORTED) as side, side.api.client() as client, trained(side.api, client):
        answers = [side.get(f"/v1/experiments/{each}/report?format=html") for each in side.experiments]
        report = side.get(f"/v1/experiments/{side.experiments[0]}/report").json()
        seconds = [side.seconds(f"/v1/experiments/{each}/report?format=json") for each in side.experiments]
        again = [side.seconds(f"/v1/experiments/{side.experiments[-1]}/report?format=html") for _ in range(20)]
    spent = [answer.elapsed.total_seconds() for answer in answers]
    return {
        "objectives": len({row["objective"] for row in report["rows"]}),
        "runs": len({row["run"] for row in report["rows"]}),
        "checkpoints_evaluated": len(report["rows"]),
        "epochs": REPORTED["training"]["epochs"],
        "attacks": len(REPORTED["evaluation"]["attacks"]),
        "bytes": len(answers[0].content),
        "html_ms": in_ms(spent[1:]),
        "json_ms": in_ms(seconds[1:]),
        "html_asked_for_again_ms": in_ms(again),
    }


class _Side:
    """A service with so many experiments, and a connection to it."""

    def __init__(self, api: Served, http: httpx2.Client, experiments: list[str], filled_s: float) -> None:
        self.api = api
        self._http = http
        self.experiments = experiments
        self.filled_s = filled_s

    def get(self, path: str) -> httpx2.Response:
        return self._http.get(path).raise_for_status()

    def seconds(self, path: str) -> float:
        started = time.perf_counter()
        self.get(path)
        return time.perf_counter() - started


@contextmanager
def _holding(experiments: int, spec: Mapping[str, Any] = SMALL) -> Iterator[_Side]:
    with served(API_CORES) as api:
        started = time.monotonic()
        original = do_an_experiment(api.settings, spec)
        copies = copy_experiment(api.settings, original, experiments - 1)
        filled_s = time.monotonic() - started
        with httpx2.Client(base_url=api.url, headers=api.bearer("read"), trust_env=False, timeout=120) as http:
            yield _Side(api, http, [*reversed(copies), original], round(filled_s, 1))
