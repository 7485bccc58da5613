"""Waiting for a service that is away for a while."""

import re
from contextlib import ExitStack

import pytest

from cli.jobs.patience import Patience
from gauntlet.client import GauntletClient, Refused, Unreachable
from tests.gauntlet.client.test_http import Answer, answering


def asked(client: GauntletClient) -> int:
    """One request, which the client itself does not repeat."""
    return client._http.send("GET", "/v1/experiments", pauses_s=()).status_code


def test_a_service_that_comes_back_is_waited_for() -> None:
    """Busy, a gateway's page, an error of its own: it is said once, asked again, and said when it is over."""
    away = [Answer(503), Answer(502, body=b"<h1>Bad gateway</h1>"), Answer(500), Answer(429)]
    told: list[str] = []
    with answering(Answer(), *away, Answer()) as (url, seen), GauntletClient(url) as client:
        patience = Patience(told.append, first_pause_s=0)
        assert [patience.ask(lambda: asked(client)) for _ in range(2)] == [200, 200]
    assert len(seen) == 6
    assert told == ["Busy. It is asked again for 10 minutes.", "The service answers again."]


def test_the_wait_has_an_end() -> None:
    """Then it says for how long it has asked."""
    told: list[str] = []
    with ExitStack() as service:
        url, _ = service.enter_context(answering(Answer()))
        with GauntletClient(url) as client:
            patience = Patience(told.append, patience_s=0.03, first_pause_s=0.01)
            patience.ask(lambda: asked(client))
            service.close()
            with pytest.raises(
                Unreachable, match=rf"No Gauntlet .* {re.escape(url)}.* It was asked for 0\.0005 minutes"
            ):
                patience.ask(lambda: asked(client))
    assert len(told) == 1


def test_a_refusal_is_not_waited_out() -> None:
    """The answer to what is wrong stays the same."""
    told: list[str] = []
    with answering(Answer(), Answer(404)) as (url, _), GauntletClient(url) as client:
        patience = Patience(told.append)
        patience.ask(lambda: asked(client))
        with pytest.raises(Refused):
            patience.ask(lambda: asked(client))
    assert told == []


def test_a_service_that_never_answered_is_not_waited_for() -> None:
    """Its address is probably wrong."""
    told: list[str] = []
    with GauntletClient("http://127.0.0.1:9") as client, pytest.raises(Unreachable):
        Patience(told.append).ask(lambda: asked(client))
    assert told == []
