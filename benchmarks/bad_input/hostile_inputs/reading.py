"""Reads that are dear: reports of a thousand runs, lists of thirty thousand, tables of ten thousand images."""

import time
from collections.abc import Iterator
from dataclasses import replace

from benchmarks.bad_input.hostile_inputs.sending import Answers, Input, answered, burst, get, post
from benchmarks.serving.served import Served

_FORMATS = ("html", "json", "md", "csv", "tex")


def reads(experiment: str, evaluation: str, checkpoint: str) -> Iterator[Input]:
    """All of them: of an experiment with a thousand runs, and an evaluation of ten thousand images."""
    of = f"/v1/experiments/{experiment}"
    reports = {f"the report of 1,000 runs, {kind}": f"{of}/report?format={kind}" for kind in _FORMATS}
    reports |= {"the same as figures": f"{of}/figures/training.svg", "the series of 1,000 runs": f"{of}/series"}
    for name, path in reports.items():
        yield _anew(burst(name, "50 clients, made anew", get(path), 50), of)
    # Twice, so that it is kept.
    for name, path in reports.items():
        yield burst(f"{name}, kept", "100 by 50 clients", get(path), 100, 50)
    yield burst("the leaderboard", "50 clients", get("/v1/leaderboard?limit=100"), 50)
    yield burst("transfers", "50 clients", get(f"/v1/transfers?checkpoint={checkpoint}&checkpoint={checkpoint}1"), 50)
    images = f"/v1/evaluations/{evaluation}/images"
    yield burst("10,000 images as a table", "10 clients", get(f"{images}?format=csv"), 10)
    yield burst("pages of images", "200 by 50 clients", get(f"{images}?limit=100&after=9000"), 200, 50)
    lists = {
        "experiments": "/v1/experiments?limit=100",
        "experiments by a part of their name": "/v1/experiments?limit=100&name=nobody",
        "experiments by status": "/v1/experiments?limit=100&status=failed&order=status",
        "runs": "/v1/runs?limit=100",
        "runs by status": "/v1/runs?limit=100&status=failed&status=cancelled",
        "evaluations": "/v1/evaluations?limit=100",
        "checkpoints": "/v1/checkpoints?limit=100",
        "events": "/v1/events?limit=100",
        "what is used": "/v1/usage",
        "metrics": "/metrics",
        "workers": "/v1/workers",
        "the catalog": "/v1/catalog",
        "data sets": "/v1/datasets?limit=100",
        "the audit": "/v1/audit?limit=100",
        "the schema": "/openapi.json",
    }
    for name, path in lists.items():
        yield burst(f"lists: {name}", "100 by 50 clients", get(path), 100, 50)


def _anew(one: Input, experiment: str) -> Input:
    """The same after the experiment was given another name, so that no answer is kept."""

    def send(api: Served) -> Answers:
        answered(api, post(experiment, {"name": f"at {time.monotonic()}"}, "PATCH"))
        return one.send(api)

    return replace(one, send=send)
