"""Bad requests are a documented 4xx that names the field; nothing is stored and nothing is echoed."""

import json
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from gauntlet.spec.presets import overlay


@pytest.fixture
def service_database(database_url: str) -> str:
    """Both databases: PostgreSQL refuses texts that SQLite takes."""
    return database_url


def refused(api: TestClient, answer: Any, status: int = 422) -> dict[str, Any]:
    """Check that an answer is a problem of that status and that nothing was stored; return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == status
    assert {"type", "title", "detail", "errors", "request_id"} <= problem.keys()
    assert api.get("/v1/experiments").json()["data"] == []
    return problem


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"colour": "red"}, "/colour"),
        ({"training": {"epohcs": 3}}, "/training/epohcs"),
        ({"training": {"epochs": 10**9}}, "/training/epochs"),
        ({"training": {"epochs": 2**70}}, "/training/epochs"),
        ({"training": {"initial_checkpoint": "../ckpt_1"}}, "/training/initial_checkpoint"),
        ({"training": {"initial_checkpoint": "ckpt_none"}}, "/training/initial_checkpoint"),
        ({"training": {"optimizer": {"kind": "rmsprop", "lr": -0.1}}}, "/training/optimizer/lr"),
        ({"adversary": {"kind": "fgsm", "eps": "8/0"}}, "/adversary/eps"),
        ({"adversary": {"kind": "fgsm", "eps": -1}}, "/adversary/eps"),
        ({"adversary": {"kind": "fgsm", "eps": "-1"}}, "/adversary/eps"),
        ({"adversary": {"kind": "fgsm", "eps": "9" * 100_00}}, "/adversary/eps"),
        ({"adversary": {"kind": "fgsm", "eps": True}}, "/adversary/eps"),
        ({"adversary": {"kind": "square", "eps": "8/255"}}, "/adversary"),
        ({"objectives": [{"kind": "magic"}]}, "/objectives/0"),
        ({"objectives": []}, "/objectives"),
        ({"objectives": [{"kind": "policy_gradient", "action": "epsilon_greedy"}]}, "/objectives/0"),
        ({"seeds": [2**63]}, "/seeds/0"),
        ({"seeds": [-1]}, "/seeds/0"),
        ({"dataset": {"name": "image_folder", "folder": "../../etc"}}, "/dataset/folder"),
        ({"dataset": {"name": "image_folder", "folder": "/etc"}}, "/dataset/folder"),
        ({"name": "a\u0000b"}, "/name"),
        ({"name": ""}, "/name"),
        ({"preset": "nonsense"}, "/preset"),
    ],
)
def test_an_invalid_field_is_named(
    api: TestClient, tiny_document: dict[str, Any], change: dict[str, Any], pointer: str
) -> None:
    """The problem's pointer leads to the field that is wrong."""
    problem = refused(api, api.post("/v1/experiments", json=tiny_document | change))
    pointers = [error["pointer"] for error in problem["errors"]]
    assert pointers == [pointer]


@pytest.mark.parametrize(
    ("change", "pointer", "message"),
    [
        ({"training": {"compile": "on"}}, "/training/compile", "be trained with on, only with auto or off"),
        ({"training": {"mix": "both"}}, "/training/mix", "be trained with both, only with adversarial"),
        ({"training": {"batch_size": 1}}, "/training/batch_size", "normalise the advantage of one image"),
        ({"adversary": {"loss": "objective"}}, "/adversary/loss", "be trained with objective, only with true_label"),
        ({"adversary": {"mode": "train"}}, "/adversary/mode", "be trained with train, only with eval"),
    ],
)
def test_what_an_agent_cannot_do_is_named(
    api: TestClient, tiny_document: dict[str, Any], change: dict[str, Any], pointer: str, message: str
) -> None:
    """The pointer leads to the field that does not go with the agent; the message names both and says what does."""
    document = overlay(tiny_document, {"objectives": [{"kind": "cross_entropy"}, {"kind": "ppo"}]} | change)
    (error,) = refused(api, api.post("/v1/experiments", json=document))["errors"]
    assert (error["pointer"], error["message"]) == (pointer, f"objective ppo cannot {message}")


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_is_refused(api: TestClient, tiny_document: dict[str, Any], number: str) -> None:
    """NaN and infinity in the JSON are a 422 that does not repeat them."""
    body = json.dumps(tiny_document | {"training": {"optimizer": {"kind": "rmsprop", "lr": "@"}}})
    headers = {"Content-Type": "application/json"}
    answer = api.post("/v1/experiments", content=body.replace('"@"', number), headers=headers)
    problem = refused(api, answer)
    assert problem["errors"][0]["pointer"] == "/training/optimizer/lr"
    assert number not in answer.text


@pytest.mark.parametrize("word", ["x" * 10_000, "\ud800", "\u0000"], ids=["long", "surrogate", "nul"])
def test_what_an_error_repeats_is_bounded_text(api: TestClient, tiny_document: dict[str, Any], word: str) -> None:
    """A kind, a field or an id that is not understood may be named: cut, and as what UTF-8 can hold."""
    headers = {"Content-Type": "application/json"}
    for change in ({"objectives": [{"kind": word}]}, {word: 1}):
        body = json.dumps(tiny_document | change)
        refused(api, answer := api.post("/v1/experiments", content=body, headers=headers))
        assert len(answer.content) < 1_000
    refused(api, answer := api.get(f"/v1/runs/{quote(word, errors='replace')}"), 404)
    assert len(answer.content) < 1_000


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"{",
        b"[" * 19_000,
        b'{"a":' * 3_000,
        b"\xff\xfe",
        b'{"name": "\\ud800"}',
        b'"text"',
        b"null",
        b"[]",
        b"9" * 5_000,
    ],
    ids=["empty", "words", "cut", "deep-list", "deep-object", "no-utf8", "surrogate", "string", "null", "list", "long"],
)
def test_a_body_that_is_no_spec_is_refused(api: TestClient, body: bytes) -> None:
    """Whatever it is instead, the answer is a 422."""
    refused(api, api.post("/v1/experiments", content=body, headers={"Content-Type": "application/json"}))


def test_a_body_of_another_type_is_refused(api: TestClient, tiny_document: dict[str, Any]) -> None:
    """JSON sent as text is not read as JSON, so a form on another site cannot submit."""
    body = json.dumps(tiny_document)
    refused(api, api.post("/v1/experiments", content=body, headers={"Content-Type": "text/plain"}), 415)


def test_a_large_body_is_refused(api: TestClient) -> None:
    """Over the bound the answer is 413, whether the length is declared or the body comes in chunks."""
    refused(api, api.post("/v1/experiments", content=b" " * 30_000), 413)
    chunks = (b" " * 1_000 for _ in range(30))
    refused(api, api.post("/v1/experiments", content=chunks, headers={"Content-Type": "application/json"}), 413)


@pytest.mark.parametrize("key", ["", "x" * 256, "with space", "ü"])
def test_a_malformed_idempotency_key_is_refused(api: TestClient, tiny_document: dict[str, Any], key: str) -> None:
    """Printable ASCII of at most 255 characters, or a 422."""
    headers = {"Idempotency-Key": key.encode("latin-1")}
    refused(api, api.post("/v1/experiments", json=tiny_document, headers=headers))  # type: ignore[arg-type]  # bytes are sent as they are


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", f"limit={2**70}", "after=" + "x" * 101], ids=lambda q: q[:12]
)
def test_a_bad_page_is_refused(api: TestClient, query: str) -> None:
    """Bounds of a page are checked."""
    refused(api, api.get(f"/v1/experiments?{query}"))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/runs/%2e%2e%2f%2e%2e%2fetc%2fpasswd", 404),
        ("GET", "/v1/checkpoints/..%252f..%252fetc/weights", 404),
        ("DELETE", "/v1/experiments", 405),
        ("GET", "/v1/runs/%00", 404),
        ("GET", "/v1/experiments/exp_%00/report", 404),
        ("POST", "/v1/evaluations/%00/cancel", 404),
        ("GET", "/v1/runs?after=%00", 422),
        ("GET", "/v1/checkpoints?run=%00", 422),
        ("GET", "/v1/runs/%ff%fe", 404),
    ],
)
def test_a_path_that_leads_nowhere_is_a_problem(api: TestClient, method: str, path: str, status: int) -> None:
    """The framework's own errors have the same shape."""
    refused(api, api.request(method, path), status)
