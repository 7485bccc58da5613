"""Events as they happen: neither a gap nor a repetition, through lost connections and restarts, for many at once."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event, update

from gauntlet.spec.experiment import ExperimentSpec
from service.answering.streams import _AT_ONCE, MOST_WAITING, Listener, Topic
from service.app import create_app
from service.settings import ServiceSettings
from store import events
from store.database import Database
from store.events import News
from store.models import Run
from store.queue import controls, jobs
from store.subjects import experiments
from tests.e2e.system import await_that
from tests.service.answering.streamed import STREAM, TYPES, collect, frames, ids, note, quick
from tests.service.serving import serving
from tests.store.recorded import submit


@pytest.fixture
def database(settings: ServiceSettings) -> Iterator[Database]:
    database = Database(settings.database_url)
    yield database
    database.close()


def end(database: Database, experiment: str) -> None:
    with database.writing() as session:
        controls.cancel(session, Run, Run.experiment_id == experiment, Run.status == "queued")


def known(database: Database, experiment: str) -> list[int]:
    with database.reading() as session:
        return [row.id for row in events.page(session, experiment=experiment, after=None, limit=2_000).rows]


@pytest.fixture
def waiting(database: Database, tiny_spec: ExperimentSpec) -> str:
    """An experiment with a queued run."""
    with database.writing() as session:
        return experiments.create(session, tiny_spec, None)[0].id


def test_a_client_that_comes_back_misses_nothing_and_is_told_nothing_twice(
    settings: ServiceSettings, database: Database, waiting: str
) -> None:
    """It loses the connection after every third event, the service is restarted thrice, and events go on meanwhile."""
    seen: list[int] = []
    ended = threading.Event()

    def write() -> None:
        for number in range(40):
            note(database, f"run_{number % 2}", waiting)
        end(database, waiting)

    def follow(url: str, most: int) -> None:
        headers = STREAM | ({"Last-Event-ID": str(seen[-1])} if seen else {})
        with httpx2.stream("GET", f"{url}/v1/experiments/{waiting}/events", headers=headers, timeout=90) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            for line in answer.iter_lines():
                if line.startswith("data: ") and '"id"' in line:
                    seen.append(json.loads(line.removeprefix("data: "))["id"])
                if line == "event: end":
                    ended.set()
                if len(seen) >= most or ended.is_set():
                    return

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(3):
        with serving(settings) as url:
            for _ in range(3):
                follow(url, len(seen) + 3)
    with serving(settings) as url:
        follow(url, 1_000)
    writer.join()
    assert ended.is_set()
    assert seen == known(database, waiting)
    assert len(seen) == 40 + 2 + 2


def test_a_restart_ends_streams_at_once_and_without_an_end(settings: ServiceSettings) -> None:
    """Open streams do not hold up the service's end; their clients are not told that anything ended."""
    with httpx2.Client(timeout=90) as client:
        with serving(settings) as url:
            answer = client.send(client.build_request("GET", f"{url}/v1/events", headers=STREAM), stream=True)
            lines = answer.iter_lines()
            assert next(lines) == "retry: 1000"
        assert "event: end" not in list(lines)


def test_streams_are_counted_apart(settings: ServiceSettings) -> None:
    """Where more streams than connections may be are open, other requests still find a place."""
    with serving(settings, most=2) as url, httpx2.Client(timeout=90) as client:
        for _ in range(4):
            answer = client.send(client.build_request("GET", f"{url}/v1/events", headers=STREAM), stream=True)
            assert next(answer.iter_lines()) == "retry: 1000"
        assert client.get(f"{url}/healthz").status_code == 200


def test_a_stream_of_what_has_ended_tells_all_and_ends(database: Database, waiting: str) -> None:
    """Also to a client that knows everything but the end, and where the events themselves are forgotten."""
    note(database, "run_1", waiting, times=1_200)
    end(database, waiting)

    async def follow(after: int | None) -> list[dict[str, str]]:
        return frames(await collect(quick(database).answer(Topic(TYPES, waiting), after, None)))

    everything = asyncio.run(follow(None))
    assert ids(everything) == known(database, waiting)
    assert everything[-1] == {"event": "end", "data": '{"status": "cancelled"}'}
    assert asyncio.run(follow(ids(everything)[-1]))[1:] == [everything[-1]]
    assert asyncio.run(follow(10**9))[1:] == [everything[-1]]


def test_an_end_that_was_left_again_is_no_end(database: Database, tiny_spec: ExperimentSpec) -> None:
    """An experiment that failed once and runs again is followed on, to its next end."""
    experiment, held = submit(database, tiny_spec)
    with database.writing() as session:
        jobs.finish(session, held, "failed")
    with database.writing() as session:
        jobs.change(session, Run, update(Run).where(Run.id == held.id).values(status="queued"))

    async def follow() -> list[dict[str, str]]:
        following = asyncio.create_task(collect(quick(database).answer(Topic(TYPES, experiment), None, None)))
        await asyncio.sleep(0)
        await asyncio.to_thread(end, database, experiment)
        return frames(await following)

    found = asyncio.run(follow())
    assert found[-1]["data"] == '{"status": "cancelled"}'
    assert [frame["event"] for frame in found if "event" in frame].count("end") == 1
    assert ids(found) == known(database, experiment)


def test_everything_is_streamed_from_now_on(database: Database) -> None:
    """What came before is not told; a client that loses the connection before the first event goes on from its id."""
    note(database, "run_1", times=3)

    async def follow() -> tuple[str, str]:
        streams = quick(database)
        first = await collect(streams.answer(Topic(TYPES), None, None), until="id: ")
        await asyncio.to_thread(note, database, "run_2")
        position = int(frames(first)[0]["id"])
        return first, await collect(streams.answer(Topic(TYPES), position, None), until="run_2")

    first, then = asyncio.run(follow())
    assert ids(frames(first)) == []
    assert ids(frames(then)) == [int(frames(first)[0]["id"]) + 1]


def test_who_knows_events_that_were_lost_is_told_what_comes(database: Database, waiting: str) -> None:
    """As after a loss, where a backup was restored: it has seen larger ids than there are."""

    async def follow() -> str:
        stream = quick(database).answer(Topic(TYPES, waiting), 1_000, None)
        first = await anext(stream.body_iterator)
        await asyncio.to_thread(end, database, waiting)
        async with asyncio.timeout(30):
            return first.decode() + await collect(stream)

    found = frames(asyncio.run(follow()))
    assert [frame["id"] for frame in found if "data" not in frame] == [str(len(known(database, waiting)) - 2)]
    assert ids(found) == known(database, waiting)[-2:]
    assert found[-1]["event"] == "end"


def test_only_the_types_that_are_named_are_told(database: Database, waiting: str) -> None:
    """And the end, whichever they are."""
    note(database, "run_1", waiting)
    end(database, waiting)
    found = frames(asyncio.run(collect(quick(database).answer(Topic(frozenset({"note"}), waiting), None, None))))
    assert [frame["event"] for frame in found[1:]] == ["note", "end"]


def test_silence_is_filled_with_comments(database: Database) -> None:
    """So that both sides see that the other is there."""
    text = asyncio.run(collect(quick(database).answer(Topic(TYPES), None, None), until=": still here\n\n: still here"))
    assert ids(frames(text)) == []


def test_one_reader_reads_for_all(database: Database) -> None:
    """Forty listeners are told by the reader's own queries; none of them asks the database once it is there."""

    async def follow() -> tuple[set[str], list[str]]:
        streams = quick(database, beat_s=10)
        following = [asyncio.create_task(collect(streams.answer(Topic(TYPES), None, None), "run_2")) for _ in range(40)]
        await asyncio.to_thread(await_that, lambda: sum(map(len, streams._told.values())) == 40)
        asked: list[str] = []
        event.listen(database._engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
        reader = Database(str(database._engine.url))
        await asyncio.to_thread(note, reader, "run_2")
        texts = set(await asyncio.gather(*following))
        reader.close()
        return texts, asked

    texts, asked = asyncio.run(follow())
    (text,) = texts
    assert len(ids(frames(text))) == 1
    assert {query for query in asked if "FROM events" in query and "events.id > ?" not in query} == set()
    assert len({query for query in asked if "FROM events" in query}) == 1


def test_what_nobody_wrote_is_not_looked_for(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """While nothing is written the reader asks for no events; what then is reaches its listeners."""
    looks: list[int | None] = []
    asked: list[str] = []
    changes = database.changes

    def look() -> int | None:
        looks.append(changes())
        return looks[-1]

    async def follow() -> tuple[str, list[int]]:
        following = asyncio.create_task(collect(quick(database).answer(Topic(TYPES), None, None), "run_2"))
        counts = []
        for subject in ("", "run_1", "run_2"):
            if subject:
                await asyncio.to_thread(note, database, subject)
            enough = len(looks) + 20
            await asyncio.to_thread(await_that, lambda enough=enough: following.done() or len(looks) > enough)
            counts.append(len([query for query in asked if "events.id > ?" in query]))
        return await following, counts

    monkeypatch.setattr(database, "changes", look)
    event.listen(database._engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
    text, (idle, one, two) = asyncio.run(follow())
    assert len(ids(frames(text))) == 2
    # What is written between a look and its query is asked for twice.
    assert idle == 1
    assert one - idle in {1, 2}
    assert two - one in {1, 2}


@pytest.mark.parametrize("streams", [1, 60])
def test_streams_of_everything_begin_without_asking_the_database(database: Database, streams: int) -> None:
    """However many come at once: where to begin the reader knows."""

    async def begin() -> list[str]:
        every = quick(database, beat_s=10, look_every_s=10)
        asked: list[str] = []
        event.listen(database._engine, "before_cursor_execute", lambda *told: asked.append(told[2]))
        beginning = [collect(every.answer(Topic(TYPES), None, None), "id: 3") for _ in range(streams)]
        await asyncio.gather(*beginning)
        return asked

    note(database, "run_1", times=3)
    assert len([query for query in asyncio.run(begin()) if "max(events.id)" in query]) == 1


@pytest.mark.parametrize("listeners", [1, 10 * _AT_ONCE])
def test_many_are_told_in_turns_between_which_others_are_answered(database: Database, listeners: int) -> None:
    """Every one is told all, in order, each once; who joins meanwhile knows it by then."""
    note(database, "run_1", times=3)

    async def tell() -> tuple[int, list[Listener]]:
        streams, turns = quick(database), 0

        async def answer_others() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1
                late = Listener(Topic(TYPES), None)
                late.position = streams._newest
                streams._told[None].add(late)

        others = asyncio.create_task(answer_others())
        told = [Listener(Topic(TYPES), None) for _ in range(listeners)]
        streams._told[None].update(told)
        await streams._tell(streams._new())
        others.cancel()
        assert all(late._frames == [] for late in streams._told[None] - set(told))
        return turns, told

    turns, told = asyncio.run(tell())
    assert turns >= listeners // _AT_ONCE - 1
    assert {tuple(ids(frames(b"".join(listener._frames).decode()))) for listener in told} == {(1, 2, 3)}


def test_a_stream_without_a_database_ends(tmp_path: Path) -> None:
    """At once, so that its client comes back, is told why, and no stream holds up the end of the service."""
    away = Database(f"sqlite:///{tmp_path}/nothing.db")
    assert asyncio.run(collect(quick(away).answer(Topic(TYPES), None, None))) == ""
    away.close()


def test_a_listener_that_takes_nothing_is_let_go(database: Database) -> None:
    """What waits for it is bounded, and given up with it."""
    with database.writing() as session:
        events.tell(session, *(News("note", "said", "run_1", "x" * 1_900) for _ in range(1_000)))
    with database.reading() as session:
        rows = events.page(session, after=None, limit=1_000).rows
    listener = asyncio.run(_told(rows))
    assert listener.is_over
    assert sum(map(len, listener._frames)) == 0


async def _told(rows: Any) -> Listener:
    listener = Listener(Topic(TYPES), None)
    for row in rows:
        listener.tell(row, b"x" * 2_000)
        assert sum(map(len, listener._frames)) <= MOST_WAITING
    return listener


def test_too_many_streams_are_told_to_come_again(settings: ServiceSettings) -> None:
    """A 429 that says when."""
    with TestClient(create_app(settings, most_streams=0)) as client:
        answer = client.get("/v1/events", headers=STREAM)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")
