"""The service as a process: light, healthy, and documented."""

import json
import os
import subprocess
import sys
import time

from fastapi.testclient import TestClient

from service.app import create_app
from service.settings import ServiceSettings


def test_the_service_and_the_command_start_without_what_computes_or_draws() -> None:
    """No torch, no environments: models run in processes of their own. What draws comes with the first report, and
    brings no plotting library. What sends spans comes where it is asked for."""
    code = """if True:
        import sys, service.app
        assert not sys.modules.keys() & {"torch", "gymnasium", "scipy", "gauntlet.rendering.html"}
        import gauntlet.client, cli.commands
        assert not sys.modules.keys() & {"torch", "gymnasium"}
        import gauntlet.rendering.html
        assert "matplotlib" not in sys.modules
        import worker.app
        assert not sys.modules.keys() & {"opentelemetry.sdk", "opentelemetry.exporter", "requests"}
    """
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_live_service_is_healthy_and_ready(api: TestClient) -> None:
    """Both answers are 200 while the database is there."""
    assert api.get("/healthz").json() == {"status": "ok"}
    assert api.get("/readyz").json() == {"status": "ok"}


def test_without_a_schema_the_service_is_alive_but_not_ready(settings: ServiceSettings) -> None:
    """/readyz is a 503 with Retry-After, /healthz still 200."""
    empty = settings.model_copy(update={"database_url": f"sqlite:///{settings.home}/empty.db"})
    with TestClient(create_app(empty), raise_server_exceptions=False) as api:
        assert api.get("/healthz").status_code == 200
        answer = api.get("/readyz")
        assert answer.status_code == 503
        assert answer.headers["retry-after"]
        assert answer.headers["content-type"] == "application/problem+json"


def test_the_schema_describes_the_api(api: TestClient) -> None:
    """/openapi.json names every route, and a spec may be a bare preset."""
    schema = api.get("/openapi.json").json()
    assert {"/v1/experiments", "/v1/runs/{run_id}/metrics", "/v1/classifications"} <= schema["paths"].keys()
    documented = schema["components"]["schemas"]
    forms = [part for name, part in documented.items() if name.startswith("Body_")]
    assert {part["additionalProperties"] for part in forms} == {False}
    assert api.get("/openapi.json").content == json.dumps(schema, ensure_ascii=False, separators=(",", ":")).encode()
    assert {"required": ["preset"]} in schema["components"]["schemas"]["ExperimentSpec"]["anyOf"]


def test_the_guide_needs_no_other_host(api: TestClient) -> None:
    """/docs loads its script and style from the service itself."""
    page = api.get("/docs").text
    assert "://" not in page.replace("http://www.w3.org", "")
    script = page.partition('<script src="')[2].partition('"')[0]
    assert api.get(script).status_code == 200


def test_wrong_settings_are_a_sentence_for_any_server() -> None:
    """A server that is told of the factory ends with what is wrong, and not with where it was found."""
    command = [sys.executable, "-m", "uvicorn", "--factory", "service.app:create_app", "--port", "0"]
    env = os.environ | {"GAUNTLET_PROT": "8000"}
    ended = subprocess.run(command, env=env, capture_output=True, text=True, timeout=180, check=False)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "GAUNTLET_PORT" in ended.stderr


def test_an_internal_error_is_a_problem_with_its_id(settings: ServiceSettings) -> None:
    """What nobody caught is a 500 that says nothing of the cause, and its id is in the header."""
    app = create_app(settings)

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("secret")

    with TestClient(app, raise_server_exceptions=False) as api:
        answer = api.get("/broken")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert "secret" not in answer.text


def test_every_answer_carries_its_request_id(api: TestClient) -> None:
    """Two requests have two ids."""
    ids = {api.get("/healthz").headers["x-request-id"] for _ in range(2)}
    assert len(ids) == 2


def test_what_a_killed_service_was_receiving_goes_as_it_starts(settings: ServiceSettings) -> None:
    """From this machine's disk, which may have no worker to do it; what came just now stays."""
    with_bucket = settings.model_copy(update={"storage_url": "s3://gauntlet/team"})
    received = settings.cache / "scratch/incoming"
    received.mkdir(parents=True)
    for name in ("left", "new"):
        (received / name).write_bytes(b"content")
    os.utime(received / "left", (1_000, 1_000))
    until = time.monotonic() + 90
    with TestClient(create_app(with_bucket)):
        while (received / "left").exists() and time.monotonic() < until:
            time.sleep(0.01)
    assert [path.name for path in received.iterdir()] == ["new"]
