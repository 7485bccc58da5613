"""The schema tells every answer of every request; `require_documented` holds all other tests' answers against it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

from fastapi import FastAPI

from service.app import create_app
from service.settings import ServiceSettings
from tests.service.conftest import documented_app

EVERY = {"400", "403", "408", "413", "421", "422", "500"}
OF_DATA = {"401", "429", "503"}


def answers(app: FastAPI, method: str, path: str) -> dict[str, Any]:
    return cast("dict[str, Any]", app.openapi()["paths"][path][method]["responses"])


def test_each_request_lists_what_it_can_be_answered_with() -> None:
    """Its own answer, what any request may be answered, and what follows from what it asks for."""
    app = documented_app()
    expected = {
        ("get", "/healthz"): {"200", "304"} | EVERY,
        ("get", "/readyz"): {"200", "304", "503"} | EVERY,
        ("get", "/v1/runs/{run_id}"): {"200", "304", "404"} | EVERY | OF_DATA,
        ("post", "/v1/experiments"): {"202", "409", "415", "507"} | EVERY | OF_DATA,
        ("post", "/v1/classifications"): {"200", "404", "409", "415", "507"} | EVERY | OF_DATA,
        ("get", "/v1/checkpoints/{checkpoint_id}/weights"): {"200", "206", "304", "404", "409", "416"}
        | EVERY
        | OF_DATA,
    }
    assert {request: set(answers(app, *request)) for request in expected} == expected


def test_every_error_is_a_problem_in_the_schema_too() -> None:
    """Of one shape, under its own type and no other."""
    app = documented_app()
    for path, operations in app.openapi()["paths"].items():
        for method in operations:
            for status, answer in answers(app, method, path).items():
                if int(status) >= 400:
                    (media_type,) = answer["content"]
                    assert media_type == "application/problem+json", (method, path, status)
                    assert answer["content"][media_type]["schema"]["$ref"].endswith("/Problem")


def test_the_schema_says_how_one_logs_in() -> None:
    """By a token or a session, or not at all where no login is wanted; what is open asks for nothing."""
    schema = documented_app().openapi()
    assert set(schema["components"]["securitySchemes"]) == {"token", "session"}
    assert schema["paths"]["/v1/runs"]["get"]["security"] == [{"token": []}, {"session": []}, {}]
    for method, path in (("get", "/healthz"), ("post", "/v1/session"), ("get", "/")):
        assert "security" not in schema["paths"][path][method]


def test_no_parameter_may_be_null() -> None:
    """A query and a header hold text: what may be left out is not null."""
    schema = documented_app().openapi()
    told = [
        parameter["schema"]
        for path in schema["paths"].values()
        for operation in path.values()
        for parameter in operation.get("parameters", ())
    ]
    assert len(told) > 30
    assert not any({"type": "null"} in each.get("anyOf", ()) for each in told)
    (number,) = (
        parameter["schema"]
        for parameter in schema["paths"]["/v1/events"]["get"]["parameters"]
        if parameter["name"] == "last-event-id"
    )
    assert (number["type"], number["minimum"]) == ("integer", 0)


def test_all_that_ask_at_once_for_the_schema_are_given_one(settings: ServiceSettings) -> None:
    """The first has it made and written; to write it keeps everybody else waiting, each time."""
    app = create_app(settings)
    with ThreadPoolExecutor(6) as senders:
        written = list(senders.map(app.state.schema, [""] * 6))
    assert len(set(map(id, written))) == 1
