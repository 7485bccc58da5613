"""`gauntlet tokens` on a real database, and a real service that is opened by what it prints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.commands import app
from gauntlet.client import GauntletClient, Refused
from gauntlet.spec.asked.tokens import TokenRequest
from store.accounts.token_text import is_token
from tests.e2e.system import System

RUNNER = CliRunner()


@pytest.fixture
def home(tmp_path: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder and database that the command works on."""
    monkeypatch.setenv("GAUNTLET_HOME", str(tmp_path))
    monkeypatch.setenv("GAUNTLET_DATABASE_URL", sqlite_url)
    # Any that is free: a Gauntlet may be running beside the tests.
    monkeypatch.setenv("GAUNTLET_PORT", "0")
    return tmp_path


def tokens(*arguments: str) -> str:
    result = RUNNER.invoke(app, ["tokens", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_service_that_others_can_reach_starts_once_there_is_a_token(
    home: Path, sqlite_url: str, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one it says which command makes one; with one it opens to that alone, until it is revoked."""
    monkeypatch.setenv("GAUNTLET_AUTH", "on")
    refused = subprocess.run(
        [sys.executable, "-m", "service"], check=False, env=os.environ, capture_output=True, text=True
    )
    assert refused.returncode == 1
    assert "gauntlet tokens create --owner YOU --scope admin" in refused.stderr
    assert "Traceback" not in refused.stderr

    made = json.loads(tokens("create", "--owner", "ada", "--scope", "admin", "--expires", "90d", "--json"))
    with System(home, sqlite_url, broker_url) as system:
        url = system.client.url
        with pytest.raises(Refused, match=r"No token is given\. Send `Authorization: Bearer TOKEN`"):
            list(system.client.experiments())
        with GauntletClient(url, token=made["token"]) as admin:
            assert list(admin.experiments()) == []
            other = admin.create_token(TokenRequest(owner="bob", scope="submit", expires="12h"))
            with GauntletClient(url, token=other.token) as bob:
                assert list(bob.runs()) == []
                with pytest.raises(Refused, match="scope admin; the one given has scope submit"):
                    list(bob.tokens())
                admin.revoke_token(other.id)
                with pytest.raises(Refused, match="opens nothing"):
                    list(bob.runs())
            assert [(token.owner, token.revoked_at is None) for token in admin.tokens()] == [
                ("bob", False),
                ("ada", True),
            ]
        for log in home.glob("service-*.log"):
            assert made["token"] not in log.read_text()


def test_tokens_are_listed_and_revoked(home: Path) -> None:
    """A token is printed once, by itself; the list has everything but it."""
    text = tokens("create", "--owner", "ada").strip()
    assert is_token(text)
    assert text.encode() not in b"".join(file.read_bytes() for file in home.iterdir() if file.is_file())
    (listed,) = json.loads(tokens("list", "--json"))
    assert (listed["owner"], listed["scope"], listed["revoked_at"]) == ("ada", "read", None)
    tokens("revoke", listed["id"])
    assert json.loads(tokens("list", "--json"))[0]["revoked_at"] is not None
    shown = tokens("list")
    assert "revoked" in shown
    assert text not in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "--owner", "a b"], "--owner: This must be one word"),
        (["create", "--owner", "ada", "--expires", "soon"], "--expires: This must be a number of hours, days or weeks"),
        (["create", "--owner", "ada", "--scope", "root"], "--scope: "),
        (["revoke", "tok_0"], "There is no token with the id 'tok_0'"),
    ],
)
@pytest.mark.usefixtures("home")
def test_what_cannot_be_is_said_in_a_sentence(arguments: list[str], said: str) -> None:
    """Each names its option, and exits with 1."""
    result = RUNNER.invoke(app, ["tokens", *arguments])
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())


@pytest.mark.parametrize("content", ["", "hunter2", "gauntlet_" + "a" * 36])
def test_a_first_token_must_be_one(home: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
    """What is no token is refused with the command that makes one; a generated one opens the service."""
    file = home / "first_token"
    file.write_text(content)
    monkeypatch.setenv("GAUNTLET_AUTH", "on")
    monkeypatch.setenv("GAUNTLET_FIRST_TOKEN_FILE", str(file))
    refused = RUNNER.invoke(app, ["up"])
    assert refused.exit_code == 1
    assert "gauntlet tokens generate" in refused.output
    if content:
        assert content not in refused.output


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(("name", "value"), [("GAUNTLET_PORT", "many"), ("GAUNTLET_TOKKEN", "x")])
def test_a_setting_at_fault_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """Before anything is done with the others."""
    monkeypatch.setenv(name, value)
    result = RUNNER.invoke(app, ["tokens", "list"])
    assert (result.exit_code, name in result.stderr) == (1, True), result.output
