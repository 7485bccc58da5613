"""A route takes the parameters that it declares, and no others; a new route does so by itself."""

from typing import Any, cast

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts
from fastapi.testclient import TestClient

from service.requests.routing import Route


def routes(api: TestClient) -> list[tuple[str, str, Route]]:
    """Method and path of every route that a function of ours answers."""
    found = []
    for context in iter_route_contexts(cast("FastAPI", api.app).routes):
        if isinstance(context.original_route, APIRoute):
            assert isinstance(context.original_route, Route), f"{context.path} does not read its requests strictly"
            path = str(context.path).replace("{", "").replace("}", "")
            found += [(method, path, context.original_route) for method in context.methods or ()]
    return found


def faults(answer: Any) -> dict[str, str]:
    """The pointers of a 422 with their messages."""
    assert answer.status_code == 422, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return {error["pointer"]: error["message"] for error in answer.json()["errors"]}


# Where a parameter may be given several times.
LISTED = {
    ("/v1/transfers", "checkpoint"),
    ("/v1/experiments", "label"),
    ("/v1/experiments/experiment_id/series", "name"),
    *((f"/v1/{kind}", "status") for kind in ("experiments", "runs", "evaluations")),
}


def test_an_unknown_parameter_is_refused_by_every_route(api: TestClient) -> None:
    """Whatever the route and the method, before anything is looked up or read."""
    assert len(routes(api)) > 25
    for method, path, _ in routes(api):
        found = faults(api.request(method, path, params={"nothing_such": "1"}))
        assert list(found) == ["/query/nothing_such"], (method, path)


def test_a_parameter_given_twice_is_refused_by_every_route(api: TestClient) -> None:
    """Unless it is a list: of two values each reader may take another."""
    single = several = 0
    for method, path, route in routes(api):
        for field in route.dependant.query_params:
            answer = api.request(method, path, params=[(field.alias, "1"), (field.alias, "1")])
            told = faults(answer) if answer.status_code == 422 else {}
            twice = f"/query/{field.alias}" in told and "is given 2 times" in told[f"/query/{field.alias}"]
            if (path, field.alias) in LISTED:
                several += 1
                assert not twice
            else:
                single += 1
                assert twice, (method, path, field.alias)
    assert (single > 20, several) == (True, len(LISTED))


@pytest.mark.parametrize(
    ("path", "pointer", "message"),
    [
        ("/v1/experiments?statsu=1", "/query/statsu", "There is no such parameter; did you mean status?"),
        ("/v1/runs?experimant=exp_1", "/query/experimant", "There is no such parameter; did you mean experiment?"),
        ("/v1/runs/run_1?verbose", "/query/verbose", "There is no such parameter, nor another."),
        ("/v1/experiments?limit=true", "/query/limit", 'This must be a whole number, not the text "true".'),
        ("/v1/experiments?limit=1.0", "/query/limit", 'This must be a whole number, not the text "1.0".'),
        ("/v1/experiments?limit=+5", "/query/limit", 'This must be a whole number, not the text " 5".'),
        ("/v1/experiments?limit=-1", "/query/limit", "This must be at least 1, not -1."),
        ("/v1/runs/run_1/events?after=1_0", "/query/after", "This must be a whole number"),
        ("/v1/runs/run_1/events?after=-1", "/query/after", "This must be at least 0, not -1."),
        (f"/v1/runs/run_1/events?after={10**20}", "/query/after", "This must be at most 9223372036854775807."),
        (f"/v1/runs/run_1/metrics?after={10**19}", "/query/after", f"This must be at most 2147483647, not {10**19}."),
        (f"/v1/experiments?limit={'9' * 4300}", "/query/limit", "This must be at most 100."),
        (f"/v1/experiments?limit=-{10**20}", "/query/limit", "This must be at least 1."),
        ("/v1/leaderboard?limit=1e1", "/query/limit", "This must be a whole number"),
        ("/v1/experiments?limit=", "/query/limit", 'This must be a whole number, not the text "".'),
        ("/v1/tokens?after=EXP", "/query/after", "This must be an id: small letters, an underscore, and small"),
        ("/v1/experiments?after=EXP-", "/query/after", "This must be a list's `next`."),
        (
            "/v1/leaderboard?attack=autoatack",
            "/query/attack",
            (
                "This must be fgsm, pgd, apgd-ce, apgd-t, fab-t, square, autoattack, noise, transfer, mm, pma, "
                "multitargeted, screen or fast"
            ),
        ),
        ("/v1/runs/run_1/metrics?format=xml", "/query/format", 'This must be json or csv, not the text "xml".'),
        ("/v1/transfers?checkpoint=a&checkpoint=b&eps=8", "/query/checkpoint/0", "This must be the id of a checkpoint"),
        ("/v1/transfers?checkpoint=ckpt_1&checkpoint=ckpt_2", "/query/eps", "This field is required."),
    ],
)
def test_a_parameter_that_is_wrong_is_told_in_plain_words(
    api: TestClient, path: str, pointer: str, message: str
) -> None:
    """With what was probably meant."""
    assert faults(api.get(path))[pointer].startswith(message)


@pytest.mark.parametrize("query", ["after=%ff", "after=%c3", "%ff=1", "after=" + "&a=1" * 100])
def test_a_query_that_nobody_means_is_refused(api: TestClient, query: str) -> None:
    """One that is not UTF-8, or holds very many parameters."""
    answer = api.get(f"/v1/experiments?{query}")
    assert (answer.status_code, answer.json()["errors"]) == (422, [])


@pytest.mark.parametrize(
    "name", ["Idempotency-Key", "Content-Type", "Content-Length", "Authorization", "Last-Event-ID", "Range"]
)
def test_a_header_given_twice_is_refused(api: TestClient, tiny_document: dict[str, Any], name: str) -> None:
    """Of those that mean one thing; which of two was meant nobody knows."""
    headers = [(name.encode(), b"1"), (name.encode(), b"2")]
    answer = api.post("/v1/experiments", json=tiny_document, headers=headers)  # type: ignore[arg-type]  # as they are
    assert list(faults(answer)) == [f"/header/{name.lower()}"]
    assert api.get("/v1/experiments").json()["data"] == []


# What remembers the first request's answer.
REMEMBERED = {"/v1/experiments", "/v1/evaluations", "/v1/transfers"}


def test_a_header_that_would_be_trusted_in_vain_is_refused_by_every_route(api: TestClient) -> None:
    """A condition on what is to be changed, and the key of a request that may be repeated; before anything is done."""
    for method, path, _ in routes(api):
        refused = {"If-Match", "If-Unmodified-Since"}
        if method not in ("GET", "HEAD"):
            refused |= {"If-None-Match"} if path in REMEMBERED else {"If-None-Match", "Idempotency-Key"}
        given = dict.fromkeys(("If-Match", "If-Unmodified-Since", "If-None-Match", "Idempotency-Key"), '"a"')
        found = faults(api.request(method, path, headers=given))
        assert set(found) == {f"/header/{name.lower()}" for name in refused}, (method, path)
        assert all(message.endswith("leave the header out.") for message in found.values())


def test_what_is_refused_is_not_done(api: TestClient, tiny_document: dict[str, Any]) -> None:
    """Whoever changes an experiment only if it is as they saw it changes nothing, rather than whatever there is."""
    path = f"/v1/experiments/{api.post('/v1/experiments', json=tiny_document).json()['id']}"
    for name in ("If-Match", "If-Unmodified-Since", "If-None-Match"):
        assert api.patch(path, json={"notes": "changed"}, headers={name: "*"}).status_code == 422
        assert api.post(f"{path}/cancel", headers={name: "*"}).status_code == 422
    assert (api.get(path).json()["notes"], api.get(path).json()["status"]) == ("", "queued")
