"""Many requests at once: each is answered or told to come again, and the others do not notice."""

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, cast

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient
from sqlalchemy import Engine, event, text

from service.app import CONNECTIONS, THREADS, create_app
from service.callers.access import Access
from service.requests import bodies
from service.routes.events import EVENTS
from service.settings import ServiceSettings
from service.transport.admission import DRAFTS, LISTS, ORDERS, SCRAPES, SUMMARIES, Gate
from service.transport.edge import Edge
from store.database import Database
from tests.e2e.system import await_that
from tests.service.logins import login


def database_of(api: TestClient) -> Database:
    database: Database = cast("FastAPI", api.app).state.database
    return database


@contextmanager
def listening(engine: Engine, what: str, heard: Any) -> Iterator[None]:
    event.listen(engine, what, heard)
    try:
        yield
    finally:
        event.remove(engine, what, heard)


def busy(answer: Any) -> bool:
    told = (answer.status_code, answer.headers.get("retry-after"), answer.json()["type"])
    return told == (429, "2", "urn:gauntlet:problem:busy")


def test_health_waits_for_no_thread(api: TestClient) -> None:
    """While requests hold all threads, and more wait, the process says that it lives and that it can serve."""
    held = threading.Semaphore(0)
    released = threading.Event()

    def hold(*_: object) -> None:
        held.release()
        released.wait(60)

    with ThreadPoolExecutor(THREADS + 5) as senders, listening(database_of(api)._engine, "checkout", hold):
        try:
            waiting = [senders.submit(api.get, "/v1/webhooks") for _ in range(THREADS + 5)]
            for _ in range(THREADS):
                assert held.acquire(timeout=60)
            assert api.get("/healthz").status_code == 200
            assert api.get("/readyz").status_code == 200
        finally:
            released.set()
        assert {answer.result().status_code for answer in waiting} == {200}


def test_every_thread_finds_a_connection(api: TestClient) -> None:
    """As many requests as there are threads hold one each at the same time, and none of the others waits for one."""
    engine = database_of(api)._engine
    together = threading.Barrier(THREADS)
    engine.pool._timeout = 0  # type: ignore[attr-defined]  # whoever had to wait for a connection would fail

    def meet(*_: object) -> None:
        together.wait(60)

    with ThreadPoolExecutor(3 * THREADS) as senders, listening(engine, "checkout", meet):
        answers = list(senders.map(lambda _: api.get("/v1/webhooks"), range(3 * THREADS)))
    assert {answer.status_code for answer in answers} == {200}


def test_a_full_pool_is_no_dead_database(api: TestClient) -> None:
    """With every connection taken a request is told to come again, and the service is ready."""
    with ExitStack() as taken:
        for _ in range(CONNECTIONS):
            taken.enter_context(database_of(api).reading()).execute(text("SELECT 1"))
        database_of(api)._engine.pool._timeout = 0.1  # type: ignore[attr-defined]  # so that the test is short
        assert busy(api.get("/v1/experiments"))
        assert api.get("/readyz").status_code == 200
    assert api.get("/v1/experiments").status_code == 200


def test_a_login_that_finds_no_connection_is_told_to_come_again(settings: ServiceSettings) -> None:
    """And one that finds no database is told so: before any route is reached, too."""
    wary = settings.model_copy(update={"auth": "on"})
    reader = login(settings, "ada", "read")
    with TestClient(create_app(wary), headers=reader, raise_server_exceptions=False) as api, ExitStack() as taken:
        for _ in range(CONNECTIONS):
            taken.enter_context(database_of(api).reading()).execute(text("SELECT 1"))
        database_of(api)._engine.pool._timeout = 0.1  # type: ignore[attr-defined]  # so that the test is short
        assert busy(api.get("/v1/experiments"))
    away = wary.model_copy(update={"database_url": "postgresql://gauntlet@127.0.0.1:1/gauntlet"})
    with TestClient(create_app(away), headers=reader, raise_server_exceptions=False) as api:
        answer = api.get("/v1/experiments")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:gauntlet:problem:database-unavailable")


@contextmanager
def taken(api: TestClient, gate: Gate) -> Iterator[None]:
    """Somebody else's turn, which lasts as long as the block."""
    portal = api.portal
    assert portal is not None
    portal.call(gate._turns.acquire)
    try:
        yield
    finally:
        portal.call(gate._turns.release)


def test_lists_are_read_one_at_a_time(api: TestClient, tiny_document: dict[str, Any]) -> None:
    """The others wait for their turn without a thread, whichever list it is, and all else is answered."""
    experiment = api.post("/v1/experiments", json=tiny_document).json()["id"]
    lists = [f"/v1/{name}" for name in ("experiments", "runs", "evaluations", "usage", "audit")]
    with ThreadPoolExecutor(4 * THREADS) as senders:
        with taken(api, LISTS):
            answers = [senders.submit(api.get, path) for path in lists * THREADS]
            for path in ("/healthz", "/readyz", f"/v1/experiments/{experiment}", "/v1/catalog"):
                assert api.get(path).status_code == 200
            assert not any(answer.done() for answer in answers)
        assert {answer.result().status_code for answer in answers} == {200}


def test_pages_of_events_are_read_one_at_a_time(api: TestClient, trained_run: str) -> None:
    """The others wait for their turn; streams, of which hundreds come at once, need none."""
    paths = ["/v1/events", f"/v1/runs/{trained_run}/events"]
    with ThreadPoolExecutor(4 * THREADS) as senders:
        with taken(api, EVENTS):
            answers = [senders.submit(api.get, path) for path in paths * THREADS]
            # That of a run that has ended ends by itself.
            assert "event: " in api.get(paths[1], headers={"Accept": "text/event-stream"}).text
            assert not any(answer.done() for answer in answers)
        assert {answer.result().status_code for answer in answers} == {200}


def test_large_documents_are_read_one_at_a_time(api: TestClient) -> None:
    """Small ones are read beside them."""
    portal = api.portal
    assert portal is not None
    large = {"preset": "quickstart", "notes": "x" * 9_000}
    with ThreadPoolExecutor(3) as senders:
        portal.call(bodies._LARGE_DOCUMENTS.acquire)
        try:
            answer = senders.submit(api.post, "/v1/experiments/validate", json=large)
            assert api.post("/v1/experiments/validate", json={"preset": "quickstart"}).status_code == 200
            assert not answer.done()
        finally:
            portal.call(bodies._LARGE_DOCUMENTS.release)
        assert answer.result().status_code in (200, 422)


def test_requests_for_jobs_take_turns(api: TestClient) -> None:
    """Three are answered at a time; drafts and what others ask for do not wait for them."""
    with ThreadPoolExecutor(2 * THREADS) as senders, ExitStack() as turns:
        for _ in range(3):
            turns.enter_context(taken(api, ORDERS))
        answers = [
            senders.submit(api.post, path, json={"preset": "quickstart"})
            for path in ("/v1/experiments", "/v1/evaluations", "/v1/transfers")
            for _ in range(3)
        ]
        # What is no such request is told without a turn.
        await_that(lambda: [answer.done() for answer in answers] == [False] * 3 + [True] * 6)
        assert {answer.result().status_code for answer in answers[3:]} == {422}
        assert api.post("/v1/experiments/validate", json={"preset": "quickstart"}).status_code == 200
        assert not any(answer.done() for answer in answers[:3])
        turns.close()
        assert {answer.result().status_code for answer in answers[:3]} == {202}


def test_drafts_and_scrapes_take_turns(api: TestClient) -> None:
    """Those that wait hold no thread, and what others ask for is answered; two drafts are looked at at a time."""
    with ThreadPoolExecutor(4 * THREADS) as senders:
        with taken(api, DRAFTS), taken(api, SCRAPES):
            first = senders.submit(api.post, "/v1/experiments/validate", json={"preset": "quickstart"})
            assert first.result().status_code == 200
            with taken(api, DRAFTS):
                answers = [
                    senders.submit(api.post, "/v1/experiments/validate", json={"preset": "quickstart"})
                    for _ in range(2 * THREADS)
                ]
                answers += [senders.submit(api.get, "/metrics") for _ in range(2 * THREADS)]
                assert api.get("/v1/usage").status_code == 200
                assert not any(answer.done() for answer in answers)
        assert {answer.result().status_code for answer in answers} == {200}


def test_a_burst_on_reports_leaves_the_others_alone(api: TestClient, tiny_document: dict[str, Any]) -> None:
    """A few wait for their turn without a thread, the next are told to come again, and all else is answered."""
    experiment = api.post("/v1/experiments", json=tiny_document).json()["id"]

    def report(_: int) -> Any:
        return api.get(f"/v1/experiments/{experiment}/report")

    with ThreadPoolExecutor(50) as senders:
        with taken(api, SUMMARIES):
            answers = [senders.submit(report, number) for number in range(50)]
            await_that(lambda: sum(answer.done() for answer in answers) == 42)
            assert all(busy(answer.result()) for answer in answers if answer.done())
            assert busy(api.get("/v1/leaderboard"))
            assert busy(api.get(f"/v1/experiments/{experiment}/figures/gap.svg"))
            for path in ("/healthz", "/readyz", "/v1/experiments", f"/v1/experiments/{experiment}", "/v1/runs"):
                assert api.get(path).status_code == 200
        assert sorted(answer.result().status_code for answer in answers) == 8 * [200] + 42 * [429]
    assert report(0).status_code == 200


def test_all_that_is_dear_is_behind_the_gate(api: TestClient) -> None:
    """Every answer that is put together of all rows of an experiment, or of all evaluations."""
    behind = set()
    for route in iter_route_contexts(cast("FastAPI", api.app).routes):
        dependant = getattr(route, "dependant", None)
        if dependant is not None and SUMMARIES in [needed.call for needed in dependant.dependencies]:
            behind.add(route.path)
    assert behind == {
        "/v1/experiments/{experiment_id}/report",
        "/v1/experiments/{experiment_id}/series",
        "/v1/experiments/{experiment_id}/figures/{name}.svg",
        "/v1/leaderboard",
        "/v1/transfers",
    }


def test_a_place_is_held_until_the_answer_is_sent(api: TestClient, tiny_document: dict[str, Any]) -> None:
    """A client that is slow to read keeps its place, for the answer keeps its memory; and so it does if it leaves."""
    path = f"/v1/experiments/{api.post('/v1/experiments', json=tiny_document).json()['id']}/report"
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [(b"host", b"localhost")]}
    free = SUMMARIES._places._value  # type: ignore[attr-defined]  # a semaphore has no other way to tell
    seen: list[int] = []
    asked = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        return asked.pop() if asked else await asyncio.Event().wait()

    async def leave(message: Any) -> None:
        seen.append(free - SUMMARIES._places._value)  # type: ignore[attr-defined]  # as above
        if message["type"] == "http.response.body":
            raise RuntimeError("It has left.")

    asyncio.run(api.app(scope, receive, leave))
    assert seen == [1, 1]
    assert SUMMARIES._places._value == free  # type: ignore[attr-defined]  # as above


def test_a_long_answer_is_handed_over_in_pieces(settings: ServiceSettings) -> None:
    """Each is sent when the one before it has left, so an answer is in memory once and not once for each client."""
    sent: list[Any] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ab" * 500_000})

    async def note(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"localhost")]}
    asyncio.run(Edge(app, settings, Access(settings, Database(settings.database_url)))(scope, cast("Any", None), note))
    pieces = [message["body"] for message in sent[1:]]
    assert b"".join(pieces) == b"ab" * 500_000
    assert max(map(len, pieces)) == 65_536
    assert [message.get("more_body", False) for message in sent[1:]] == [True] * (len(pieces) - 1) + [False]


def test_a_turn_of_the_loop_hands_over_few_pieces(settings: ServiceSettings) -> None:
    """However many clients take long answers as fast as they come, who asks for something else has a turn between."""
    turn, sent = 0, Counter[int]()

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": bytes(10 * 65_536)})

    async def note(message: Any) -> None:
        sent[turn] += bool(message.get("more_body"))

    async def send_to_many() -> None:
        loop = asyncio.get_running_loop()

        def count() -> None:
            nonlocal turn
            turn += 1
            loop.call_soon(count)

        count()
        edge = Edge(app, settings, Access(settings, Database(settings.database_url)))
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"localhost")]}
        await asyncio.gather(*(edge(dict(scope), cast("Any", None), note) for _ in range(20)))

    asyncio.run(send_to_many())
    assert sum(sent.values()) == 20 * 9
    assert max(sent.values()) == 8
