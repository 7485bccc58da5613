"""Tokens: their form, and whom they open the API to."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from gauntlet.spec.asked.tokens import Scope, TokenRequest
from store.accounts import tokens
from store.accounts.secret_key import read_or_make
from store.accounts.token_text import LENGTH, PREFIX, is_token, new_token
from store.database import Database, db_now
from store.errors import NotFound
from store.models import Token
from tests.postgres import await_lock

KEY = bytes(range(32))


def test_a_token_has_a_name_a_hundred_and_sixty_random_bits_and_a_checksum() -> None:
    """No two are alike, and no changed character leaves the checksum right."""
    made = {new_token() for _ in range(200)}
    assert len(made) == 200
    assert all(is_token(text) and text.startswith(PREFIX) and len(text) == LENGTH for text in made)
    assert 62 ** (LENGTH - len(PREFIX) - 6) > 2**160
    text = new_token()
    for position in range(len(text)):
        changed = "x" if text[position] != "x" else "y"
        assert not is_token(text[:position] + changed + text[position + 1 :])


@given(st.text(max_size=40))
def test_no_other_text_is_a_token(text: str) -> None:
    """Nor does any text raise, one of the right length with a foreign script among them."""
    assert not is_token(text)
    assert not is_token(PREFIX + text)


def test_a_token_opens_until_it_expires_or_is_revoked(database: Database) -> None:
    """The row holds no token; another installation's key, an unknown token and a mangled one open nothing."""
    with database.writing() as session:
        row, text = tokens.create(session, KEY, TokenRequest(owner="ada", scope="submit", expires="1h"))
        lasting, _ = tokens.create(session, KEY, TokenRequest(owner="ada", scope="read"))
    with database.reading() as session:
        stored = session.scalars(select(Token)).all()
        assert all(text not in str(vars(one)) for one in stored)
        found = tokens.caller(session, KEY, text)
        assert found is not None
        assert (found.owner, found.scope, found.token, found.use_is_news) == ("ada", "submit", row.id, True)
        assert tokens.caller(session, bytes(32), text) is None
        assert tokens.caller(session, KEY, new_token()) is None
        assert tokens.caller(session, KEY, text[:-1]) is None
    with database.writing() as session:
        session.execute(update(Token).where(Token.id == row.id).values(expires_at=db_now()))
    with database.reading() as session:
        assert tokens.caller(session, KEY, text) is None
    with database.writing() as session:
        session.execute(update(Token).where(Token.id == row.id).values(expires_at=None))
        revoked = tokens.revoke(session, row.id).revoked_at
    with database.writing() as session:
        assert tokens.caller(session, KEY, text) is None
        assert tokens.revoke(session, row.id).revoked_at == revoked
        assert [one.id for one in tokens.page(session, after=None, limit=10).rows] == [lasting.id, row.id]
        with pytest.raises(NotFound, match="no token with the id 'tok_none'"):
            tokens.revoke(session, "tok_none")


def test_a_use_is_written_down_once_a_minute(database: Database) -> None:
    """A second use is no news until the first is a minute old."""
    with database.writing() as session:
        row, text = tokens.create(session, KEY, TokenRequest(owner="ada", scope="read"))
        tokens.note_use(session, row.id)
    with database.reading() as session:
        fresh = tokens.caller(session, KEY, text)
    with database.writing() as session:
        session.execute(update(Token).values(last_used_at=Token.last_used_at - 61))
    with database.reading() as session:
        stale = tokens.caller(session, KEY, text)
    assert fresh is not None
    assert stale is not None
    assert (fresh.use_is_news, stale.use_is_news) == (False, True)


def test_scopes_take_each_other_in(database: Database) -> None:
    """Read is part of submit, submit of admin."""
    with database.writing() as session:
        assert not tokens.any_usable(session)
        opened = {}
        for scope in get_args(Scope):
            _, text = tokens.create(session, KEY, TokenRequest(owner="ada", scope=scope))
            found = tokens.caller(session, KEY, text)
            assert found is not None
            opened[scope] = [found.may("read"), found.may("submit"), found.may("admin")]
        assert tokens.any_usable(session)
        for row in tokens.page(session, after=None, limit=10).rows:
            tokens.revoke(session, row.id)
        assert not tokens.any_usable(session)
    assert opened == {"read": [True, False, False], "submit": [True, True, False], "admin": [True, True, True]}


def test_processes_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    """The file is for its owner alone, whole, and made once; a foreign file is no key."""
    file = tmp_path / "home" / "secret.key"
    with ThreadPoolExecutor(8) as threads:
        keys = list(threads.map(lambda _: read_or_make(file), range(8)))
    assert set(keys) == {file.read_bytes()}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [one.name for one in file.parent.iterdir()] == ["secret.key"]
    file.write_bytes(b"short")
    with pytest.raises(ValueError, match="it has 5 bytes instead of 32"):
        read_or_make(file)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_services_that_start_at_once_take_up_one_token(database: Database) -> None:
    """Each has the same file; the second waits for the first, and finds its token there."""
    text = new_token()

    def start() -> None:
        with database.writing() as session:
            tokens.take_up(session, KEY, text)

    with ThreadPoolExecutor(1) as pool:
        with database.writing() as session:
            tokens.take_up(session, KEY, text)
            late = pool.submit(start)
            await_lock(database)
        late.result()
    with database.reading() as session:
        assert [row.owner for row in tokens.page(session, after=None, limit=9).rows] == ["first"]
