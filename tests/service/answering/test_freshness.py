"""Entity tags: what a client has and has not changed is not sent again, and what has changed always is."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, cast

import pytest
from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.testclient import TestClient

from gauntlet.spec.experiment import ExperimentSpec
from service.answering.freshness import is_known
from service.answering.versions import KeptAnswers, KnownRows, Looks
from service.app import THREADS
from service.callers.access import Access
from service.settings import ServiceSettings
from service.transport.admission import SUMMARIES
from service.transport.edge import Edge
from store.database import Database
from store.models import Evaluation
from store.queue import jobs
from store.subjects import experiments, runs
from tests.e2e.system import await_that
from tests.evaluations import FGSM, finished, queued
from tests.service.conftest import Pages
from tests.store.recorded import record

pytestmark = pytest.mark.long(seconds=12)


@pytest.fixture
def database(settings: ServiceSettings) -> Iterator[Database]:
    database = Database(settings.database_url)
    yield database
    database.close()


def anew(api: TestClient, page: str) -> Any:
    """The answer that nothing was kept of."""
    cast("FastAPI", api.app).state.kept_answers = KeptAnswers()
    return api.get(page)


def test_what_has_not_changed_is_not_sent_again(api: TestClient, pages: list[str]) -> None:
    """Of every route: a strong tag; with it 304 to GET and HEAD, with the tag and without a body or its headers."""
    # What is measured anew for every request has always changed.
    asked = [page for page in pages if page != "/metrics"]
    found = {page: answer for page in asked if (answer := api.get(page)).status_code == 200}
    assert len(found) > 14
    for page, answer in found.items():
        tag = answer.headers["etag"]
        assert tag.startswith('"'), page
        kept = "no-store" if page == "/v1/session" else "private, no-cache"
        assert answer.headers["cache-control"] == kept, page
        for ask in (api.get, api.head):
            again = ask(page, headers={"If-None-Match": tag})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag), page
            assert again.headers["cache-control"] == kept
            assert not {"content-length", "content-type"} & set(again.headers), page
            assert again.headers["x-request-id"]


def test_what_has_changed_is_sent(
    api: TestClient, stored: Pages, database: Database, tiny_spec: ExperimentSpec
) -> None:
    """Through the life of an experiment, of every route: 200 and the new answer whenever it is another one."""
    with database.writing() as session:
        other = experiments.create(session, tiny_spec, None)[0].id
    spec, held = tiny_spec, stored.run
    asked = [page for page in stored.paths if page.startswith("/v1")]
    asked += [page.replace(stored.experiment, other) for page in asked if stored.experiment in page]
    asked += [f"/v1/experiments/{stored.experiment}/report?format={form}" for form in ("html", "csv")]
    evaluations: list[str] = []

    def train(session: Any, epoch: int) -> None:
        runs.record_epoch(session, held, record(spec, epoch, keep=epoch % 2 == 0))

    def write(work: Callable[[Any], Any]) -> None:
        with database.writing() as session:
            work(session)

    steps: list[Callable[[], object]] = [
        lambda: write(lambda session: jobs.note_device(session, held, "cpu")),
        *(lambda epoch=epoch: write(lambda session: train(session, epoch)) for epoch in (1, 2, 3, 4)),  # type: ignore[misc]  # the loop's value, kept
        lambda: write(lambda session: jobs.note_device(session, held, "another one")),
        lambda: write(lambda session: runs.note(session, held, [runs.Note("resumed_elsewhere", "Elsewhere.")])),
        lambda: write(lambda session: evaluations.extend(runs.complete(session, held))),
        lambda: finished(database, evaluations[0], natural=12, robust=9),
        lambda: finished(database, extended(), natural=24, robust=9),
        lambda: finished(database, stored.evaluation, natural=4, robust=3),
        lambda: write(lambda session: experiments.cancel(session, other)),
    ]

    def extended() -> str:
        with database.reading() as session:
            measured = session.get_one(Evaluation, evaluations[0]).checkpoint_id
        return queued(database, measured, FGSM, samples=32, batch_size=8)

    news = 0
    before = {page: api.get(page) for page in asked}
    for number, step in enumerate(steps):
        step()
        for page in asked:
            have, now = before[page], anew(api, page)
            if now.status_code == 200 and now.content != have.content:
                answer = api.get(page, headers={"If-None-Match": have.headers.get("etag", "")})
                assert (answer.status_code, answer.content) == (200, now.content), (number, page)
                news += 1
            before[page] = now
    assert news > 3 * len(steps)


def test_one_tag_is_of_one_answer(api: TestClient, stored: Pages) -> None:
    """Other forms, figures and filters of the same rows have tags of their own."""
    report = f"/v1/experiments/{stored.experiment}/report"
    asked = [report, *(f"{report}?format={form}" for form in ("html", "md", "csv", "tex")), "/v1/leaderboard"]
    tags = [api.get(page).headers["etag"] for page in [*asked, "/v1/leaderboard?dataset=digits"]]
    assert len(set(tags)) == len(tags)


@pytest.mark.parametrize(
    ("given", "known"),
    [
        (['"a"'], True),
        (['"b", "a"'], True),
        (['"b"', '"a"'], True),
        (['W/"a"'], True),
        (["*"], True),
        ([" * "], True),
        (['"b"'], False),
        (["a"], False),
        (['"A"'], False),
        (['"a'], False),
        (['"b, a"'], False),
        ([""], False),
        ([], False),
    ],
)
def test_a_tag_is_looked_for_as_the_standard_says(given: list[str], *, known: bool) -> None:
    """In lists and in several headers, weak or strong; the text between quotes is compared as it is."""
    assert is_known('"a"', given) is known


def test_any_tag_is_no_way_past_a_fault(api: TestClient, stored: Pages) -> None:
    """`*` is 304 where there is an answer, and the fault where there is none; what changes something takes no tag."""
    star = {"If-None-Match": "*"}
    report = f"/v1/experiments/{stored.experiment}/report"
    assert api.get(report, headers=star).status_code == 304
    assert api.get(f"{report}?format=pdf", headers=star).status_code == 422
    assert api.get("/v1/experiments/exp_0/report", headers=star).status_code == 404
    assert api.post(f"/v1/runs/{stored.run.id}/cancel", headers=star).status_code == 422


def test_errors_and_what_was_made_are_kept_by_nobody(api: TestClient, tiny_document: dict[str, Any]) -> None:
    """A 404 may be there a moment later."""
    for answer in (api.get("/v1/runs/run_0"), api.get("/nowhere"), api.post("/v1/experiments", json=tiny_document)):
        assert answer.headers["cache-control"] == "no-store"
        assert "etag" not in answer.headers


def test_a_known_report_waits_for_nobody(api: TestClient, stored: Pages) -> None:
    """While as many reports are asked for as may be, one that is known or was kept is answered, and no other."""
    report = f"/v1/experiments/{stored.experiment}/report"
    tag = api.get(report).headers["etag"]
    with ExitStack() as places:
        for _ in range(8):
            places.enter_context(SUMMARIES.admit())
        assert api.get(report, headers={"If-None-Match": tag}).status_code == 304
        assert api.get(report).status_code == 200
        assert api.get(f"{report}?format=md").status_code == 429


def test_a_look_is_for_all_who_asked_before_it_began() -> None:
    """Fifty that come at once share one; whoever comes while it looks has another one, for there may be news."""
    began, may_end, looks = threading.Event(), threading.Event(), []

    def read() -> str:
        looks.append(len(looks))
        began.set()
        may_end.wait(60)
        return f"look {looks[-1]}"

    async def ask() -> None:
        shared = Looks()
        first = [asyncio.ensure_future(shared.look("a report", read)) for _ in range(50)]
        await asyncio.to_thread(began.wait, 60)
        later = [asyncio.ensure_future(shared.look("a report", read)) for _ in range(50)]
        other = asyncio.ensure_future(shared.look("another", lambda: "of its own"))
        # What is asked for beside it waits for nothing.
        assert await other == "of its own"
        # Who leaves takes nobody else's look away.
        later[0].cancel()
        assert looks == [0]
        may_end.set()
        assert set(await asyncio.gather(*first)) == {"look 0"}
        assert set(await asyncio.gather(*later[1:])) == {"look 1"}

    asyncio.run(ask())


def test_a_known_row_waits_for_no_thread(api: TestClient, stored: Pages) -> None:
    """While requests hold all threads, what a client has of a run, an experiment or an evaluation is told to be known.

    SQLite's rows are looked at where the request is, where an answer that was kept is found with any other tag, too;
    one that is not is made in a thread.
    """
    paths = [f"/v1/runs/{stored.run.id}", f"/v1/experiments/{stored.experiment}"]
    tags = {path: api.get(path).headers["etag"] for path in paths}
    held, released = threading.Semaphore(0), threading.Event()

    def hold() -> None:
        held.release()
        released.wait(60)

    portal = api.portal
    assert portal is not None
    with ThreadPoolExecutor(THREADS + 1) as senders:
        try:
            for _ in range(THREADS):
                senders.submit(portal.call, run_in_threadpool, hold)
            for _ in range(THREADS):
                assert held.acquire(timeout=60)
            for path, tag in tags.items():
                assert api.get(path, headers={"If-None-Match": tag}).status_code == 304
            another = {"If-None-Match": '"another"'}
            assert api.get(paths[0], headers=another).status_code == 200
            cast("FastAPI", api.app).state.kept_answers = KeptAnswers()
            made = senders.submit(api.get, paths[0], headers=another)
            await_that(lambda: portal.call(_waiting_for_a_thread) == 1)
            assert api.get("/healthz").status_code == 200
        finally:
            released.set()
        assert made.result().status_code == 200


async def _waiting_for_a_thread() -> int:
    return current_default_thread_limiter().statistics().tasks_waiting


def test_what_a_route_would_refuse_is_refused_of_a_known_row(api: TestClient, stored: Pages) -> None:
    """Its tag is no way past a condition that nobody looks at, a parameter that there is not, or a body."""
    path = f"/v1/runs/{stored.run.id}"
    known = {"If-None-Match": api.get(path).headers["etag"]}
    for _ in range(2):
        assert api.get(path, headers=known).status_code == 304
    counted = 'gauntlet_http_request_duration_seconds_count{method="GET",route="/v1/runs/{run_id}",status="304"} 2.0'
    assert counted in api.get("/metrics").text
    assert api.get(path, headers=known | {"If-Match": "*"}).status_code == 422
    assert api.get(f"{path}?unknown=1", headers=known).status_code == 422
    assert api.request("GET", path, headers=known, content=b"{}").status_code == 422
    assert api.get(path, headers={"If-None-Match": '"another"'}).status_code == 200
    assert api.get(path, headers={"If-None-Match": "*"}).status_code == 304
    assert api.head(path, headers=known).status_code == 304


def test_known_rows_are_bounded(database: Database) -> None:
    """Those that were first asked for are forgotten: whoever has one is told so by its route."""
    rows = KnownRows(database, most=2)
    headers = [(b"if-none-match", b"")]
    asked = [{"type": "http", "path": f"/{number}", "query_string": b"", "path_params": {}} for number in range(3)]
    for scope in asked:
        tag = rows.look(Request(scope), lambda _, request: request.scope["path"])
        assert tag is not None
        headers[0] = (b"if-none-match", tag.encode())
        assert rows.answer(scope | {"method": "GET", "headers": headers}) is not None
    assert rows.answer(asked[0] | {"method": "GET", "headers": headers}) is None
    assert list(rows._known) == ["/1?", "/2?"]


def test_kept_answers_are_bounded() -> None:
    """The ones asked for longest ago go first; one that is large is not kept at all."""
    kept = KeptAnswers(most_bytes=40_000)
    for name in ("a", "b", "c", "d"):
        kept.keep(name, '"1"', Response(b"x" * 8_000))
    assert kept.find("a", '"1"') is not None
    kept.keep("e", '"1"', Response(b"x" * 8_000))
    assert kept.find("b", '"1"') is None
    assert kept.find("a", '"1"') is not None
    assert kept.find("a", '"2"') is None
    kept.keep("f", '"1"', Response(b"x" * 10_001))
    assert kept.find("f", '"1"') is None


def test_a_stream_is_not_waited_for(settings: ServiceSettings) -> None:
    """What has no length may never end: its head and pieces go on as they come, without a tag."""
    sent: list[dict[str, Any]] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        assert [message["type"] for message in sent] == ["http.response.start"]
        await send({"type": "http.response.body", "body": b"data: 1", "more_body": True})
        assert sent[-1]["body"] == b"data: 1"

    async def note(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"host", b"localhost")]}
    asyncio.run(Edge(app, settings, Access(settings, Database(settings.database_url)))(scope, cast("Any", None), note))
    assert len(sent) == 2
    assert b"etag" not in dict(sent[0]["headers"])
