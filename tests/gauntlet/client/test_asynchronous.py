"""The client for programs that await, and the synchronous one that is made from it."""

import asyncio
import inspect
from pathlib import Path

import pytest

from gauntlet.client import AsyncGauntletClient, GauntletClient
from gauntlet.client.errors import Refused, Unreachable
from gauntlet.client.generation import HERE, generate
from tests.gauntlet.client.test_http import Answer, answering


def test_the_synchronous_client_is_made_from_the_other(tmp_path: Path) -> None:
    """`make client` was run after the last change."""
    generate(tmp_path)
    made = {path.name: path.read_text() for path in tmp_path.glob("*.py")}
    assert made == {path.name: path.read_text() for path in (HERE / "synchronous").glob("*.py")}


def test_both_have_the_same_methods() -> None:
    """With the same arguments; none of the synchronous one's is to be awaited."""

    def methods(kind: type) -> dict[str, list[str]]:
        found = inspect.getmembers(kind, inspect.isfunction)
        return {name: list(inspect.signature(method).parameters) for name, method in found if name[0] != "_"}

    assert methods(GauntletClient) == methods(AsyncGauntletClient)
    assert not any(map(inspect.iscoroutinefunction, vars(GauntletClient).values()))


def test_a_list_is_gone_through_page_by_page() -> None:
    """Also past a hiccup of the service, after which it is asked again."""
    first = Answer(body=b'{"object": "list", "data": [], "has_more": true, "next": "exp_1"}')

    async def names(url: str) -> list[str]:
        async with AsyncGauntletClient(url) as client:
            return [experiment.name async for experiment in client.experiments()]

    with answering(first, Answer(503), Answer()) as (url, seen):
        assert asyncio.run(names(url)) == []
    assert seen == ["GET /v1/experiments"] * 3


def test_a_file_is_sent_and_a_refusal_is_raised(tmp_path: Path) -> None:
    """As by the synchronous client; an import is not sent twice."""
    (tmp_path / "weights").write_bytes(b"x" * 100_000)

    async def import_it(url: str) -> None:
        async with AsyncGauntletClient(url) as client:
            await client.import_checkpoint(tmp_path / "weights", {})

    with answering(Answer(503)) as (url, seen), pytest.raises(Refused, match="Busy"):
        asyncio.run(import_it(url))
    assert seen == ["POST /v1/checkpoints"]


def test_nobody_there_is_told_by_both() -> None:
    """In the same sentence."""

    async def ask(url: str) -> None:
        async with AsyncGauntletClient(url) as client:
            await client._http.send("GET", "/v1/runs", pauses_s=())

    with answering() as (url, _):
        pass
    with pytest.raises(Unreachable) as awaited:
        asyncio.run(ask(url))
    with GauntletClient(url) as client, pytest.raises(Unreachable) as told:
        client._http.send("GET", "/v1/runs", pauses_s=())
    assert str(told.value).partition(" (")[0] == str(awaited.value).partition(" (")[0]
