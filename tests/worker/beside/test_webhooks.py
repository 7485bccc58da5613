"""Webhooks told of events: real receivers on loopback, which fail, redirect and dawdle."""

import base64
import hashlib
import hmac
import json
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from gauntlet.spec.asked.webhooks import WebhookEvent, WebhookRequest
from gauntlet.spec.experiment import ExperimentSpec
from store import events, webhooks
from store.database import Database
from store.events import News
from store.models import Delivery, Run, Webhook
from store.queue import jobs
from store.subjects import experiments
from tests.e2e.system import await_that
from tests.store.recorded import submit
from worker.beside.webhooks import deliver

LOOPBACK = ("127.0.0.0/8",)


class Came(NamedTuple):
    """A request that a receiver was sent."""

    path: str
    headers: dict[str, str]
    body: bytes


@contextmanager
def receiving(*statuses: int, location: str = "", trickles: bool = False) -> Iterator[tuple[str, list[Came]]]:
    """A receiver that answers so in turn, and with 204 from then on; yields its URL and what came."""
    coming, came = iter(statuses), []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            came.append(Came(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            if trickles:
                for _ in range(200):
                    self.wfile.write(b"H")
                    time.sleep(0.02)
                return
            self.send_response(next(coming, 204))
            if location:
                self.send_header("Location", location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            with suppress(ConnectionError):
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook?team=1", came
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def hooked(database: Database, url: str, *names: WebhookEvent) -> tuple[str, str]:
    """A webhook's id and its secret."""
    request = WebhookRequest(url=url, events=names or ("experiment.ended", "alarm"))
    with database.writing() as session:
        row = webhooks.create(session, request, None)
        return row.id, row.secret


def alarm(database: Database) -> None:
    with database.writing() as session:
        events.tell(session, News("alarm", "one_class", "run_1", "All alike.", "exp_1", epoch=3))


def deliveries(database: Database) -> list[Delivery]:
    with database.reading() as session:
        return list(session.scalars(select(Delivery).order_by(Delivery.id)))


def make_due(database: Database) -> None:
    with database.writing() as session:
        session.execute(update(Delivery).values(next_at=0.0))


def test_ended_experiments_and_alarms_are_told_once_each(database: Database, tiny_spec: ExperimentSpec) -> None:
    """What happened before it was made is not, nor what else happens; a second look sends nothing again."""
    with receiving() as (url, came):
        alarm(database)
        hooked(database, url)
        experiment, held = submit(database, tiny_spec)
        with database.writing() as session:
            jobs.finish(session, held, "failed", "diverged")
        alarm(database)
        deliver(database, LOOPBACK)
        deliver(database, LOOPBACK)
    told = {body["type"]: body["data"] for body in (json.loads(each.body) for each in came)}
    assert len(came) == 2
    assert told["experiment.ended"]["subject"] == experiment
    assert told["experiment.ended"]["kind"] == "failed"
    assert (told["alarm"]["message"], told["alarm"]["epoch"]) == ("All alike.", 3)
    assert [row.status for row in deliveries(database)] == ["delivered", "delivered"]


def test_a_delivery_is_signed(database: Database) -> None:
    """As Standard Webhooks has it: whoever has the secret can tell that id, time and body are ours."""
    with receiving() as (url, came):
        _, secret = hooked(database, url, "alarm")
        alarm(database)
        deliver(database, LOOPBACK)
    ((path, headers, body),) = came
    assert path == "/hook?team=1"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    assert len(key) == 32
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60


@contextmanager
def silent() -> Iterator[tuple[str, socket.socket]]:
    """A receiver that never answers; who waits for it is let go when the block ends. Yields its URL and its socket."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/", server


def test_who_never_answers_holds_up_no_other(database: Database) -> None:
    """However many there are: another is told of what happens while they are waited for, too."""
    with receiving() as (url, came):
        with silent() as (nowhere, _):
            deaf = {hooked(database, nowhere, "alarm")[0] for _ in range(12)}
            told, _ = hooked(database, url, "alarm")
            alarm(database)
            worker = threading.Thread(target=deliver, args=(database, LOOPBACK), kwargs={"within_s": 60.0})
            worker.start()
            for count in range(1, 4):
                await_that(lambda number=count: len(came) == number)
                alarm(database)
            await_that(lambda: len(came) == 4)
            rows = deliveries(database)
        worker.join()
    # Each deaf one was still waited for, for the first time, and is knocked at for one thing at a time.
    assert {row.webhook_id for row in rows if row.attempts and row.webhook_id != told} == deaf
    assert not any(row.fault for row in rows)
    assert all(row.attempts for row in deliveries(database))


def test_a_webhook_is_told_in_order(database: Database) -> None:
    """One thing after the other, however much waits; what fails is tried again after what came later."""
    with receiving(204, 500) as (url, came):
        hooked(database, url, "alarm")
        for _ in range(10):
            alarm(database)
        deliver(database, LOOPBACK)
        make_due(database)
        deliver(database, LOOPBACK)
    events_told = [json.loads(each.body)["data"]["id"] for each in came]
    assert events_told == [*range(1, 11), 2]


def test_what_cannot_be_noted_holds_up_nothing_else(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """As while the database is away: what came after it is told in its turn, and it is told once more, later."""
    note = webhooks.note_delivered
    unlucky: list[str] = []

    def note_all_but_the_second(session: Session, due: webhooks.Due, answer: int) -> None:
        if len(came) == 2 and not unlucky:
            unlucky.append(due.id)
        if due.id in unlucky:
            raise OperationalError(None, None, sqlite3.OperationalError("database is locked"))
        note(session, due, answer)

    monkeypatch.setattr(webhooks, "note_delivered", note_all_but_the_second)
    with receiving() as (url, came):
        hooked(database, url, "alarm")
        for _ in range(6):
            alarm(database)
        deliver(database, LOOPBACK, within_s=2.0)
    rows = deliveries(database)
    assert len(came) == 6
    assert {row.id for row in rows if row.status == "waiting"} == set(unlucky)
    assert {row.attempts for row in rows} == {1}


def test_who_is_told_to_stop_begins_no_more(database: Database) -> None:
    """What was taken and not begun is another worker's at once, with all its tries; after that nothing is taken."""
    stopped = threading.Event()
    with receiving() as (url, came):
        with silent() as (nowhere, server):
            for _ in range(2):
                hooked(database, nowhere, "alarm")
            for _ in range(8):
                alarm(database)
            worker = threading.Thread(
                target=deliver, args=(database, LOOPBACK), kwargs={"within_s": 60.0, "stopped": stopped.is_set}
            )
            worker.start()
            begun = [server.accept()[0] for _ in range(2)]
            assert sum(row.attempts for row in deliveries(database)) > 2
            stopped.set()
            for connection in begun:
                connection.close()
        worker.join()
        tries = [row.attempts for row in deliveries(database)]
        # Of each the first had begun.
        assert sorted(tries) == [0] * 14 + [1] * 2
        deliver(database, LOOPBACK, stopped=stopped.is_set)
        assert [row.attempts for row in deliveries(database)] == tries
        with database.writing() as session:
            session.execute(update(Webhook).values(url=url))
        deliver(database, LOOPBACK)
    assert len(came) == tries.count(0)


def test_what_fails_is_sent_again_under_its_id_and_given_up_in_the_end(database: Database) -> None:
    """With a pause that grows; a redirect is not followed and counts as a failure. Deliveries say how it went."""
    with receiving(500, 302, location="http://127.0.0.1:1/") as (url, came):
        hooked(database, url)
        alarm(database)
        pauses = []
        for _ in range(3):
            deliver(database, LOOPBACK)
            (row,) = deliveries(database)
            pauses.append(round(row.next_at - row.created_at))
            make_due(database)
        assert [each.headers["webhook-id"] for each in came] == [row.id] * 3
        assert (row.status, row.attempts, row.answer, row.fault) == ("delivered", 3, 204, None)
        assert pauses[0] < pauses[1]
    with receiving(*[503] * 99) as (url, came):
        with database.writing() as session:
            session.execute(update(Webhook).values(url=url))
        alarm(database)
        for _ in range(10):
            deliver(database, LOOPBACK)
            make_due(database)
    row = deliveries(database)[-1]
    assert (row.status, row.attempts, row.answer, row.fault) == ("failed", 7, 503, "It answered 503.")
    assert len(came) == 7


def test_a_receiver_that_trickles_is_left(database: Database) -> None:
    """All of an answer's head must come within the time; one more byte now and then does not make it longer."""
    with receiving(trickles=True) as (url, _):
        hooked(database, url)
        alarm(database)
        deliver(database, LOOPBACK, within_s=0.3)
    (row,) = deliveries(database)
    assert (row.status, row.answer) == ("waiting", None)
    assert row.fault


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1", "0"])
def test_an_internal_address_is_never_connected_to(database: Database, host: str) -> None:
    """However it is written, and whatever name leads there; the delivery says why."""
    with receiving() as (url, came):
        hooked(database, url.replace("127.0.0.1", host))
        alarm(database)
        deliver(database, ())
    assert came == []
    (row,) = deliveries(database)
    assert row.status == "waiting"
    assert "an address of an internal network" in (row.fault or "")


def test_the_address_that_was_looked_at_is_the_one_connected_to(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name server that answers with an internal address the second time is not asked a second time."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def rebinding(host: str, *arguments: Any, **named: Any) -> Any:
        asked.append(host)
        return real("127.0.0.2" if asked.count("rebind.test") == 1 else "127.0.0.1", *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    with receiving() as (url, came):
        hooked(database, url.replace("127.0.0.1", "rebind.test"))
        alarm(database)
        deliver(database, ("127.0.0.2/32",))
    assert asked.count("rebind.test") == 1
    assert came == []  # nobody listens at the address that was looked at


def test_two_workers_send_each_once(database: Database) -> None:
    """They gather and take under locks; what one has taken the other leaves."""
    with receiving() as (url, came):
        hooked(database, url)
        for _ in range(6):
            alarm(database)
        workers = [threading.Thread(target=deliver, args=(database, LOOPBACK)) for _ in range(2)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    assert len({each.headers["webhook-id"] for each in came}) == len(came) == 6


def test_a_delivery_whose_worker_died_is_sent_again(database: Database, tiny_spec: ExperimentSpec) -> None:
    """At least once, with the same id: taken and not heard of, it is due again."""
    with receiving() as (url, came):
        hooked(database, url, "experiment.ended")
        with database.writing() as session:
            experiment, _ = experiments.create(session, tiny_spec, None)
        with database.writing() as session:
            session.execute(update(Run).values(status="cancelled"))
            events.tell(session, News("status", "cancelled", "run_1", "Gone.", experiment.id))
        with database.writing() as session:
            webhooks.gather(session)
            (taken,) = webhooks.take_due(session, most=9, most_of_each=9, within_s=0.0)
        deliver(database, LOOPBACK)
    assert [each.headers["webhook-id"] for each in came] == [taken.id]
