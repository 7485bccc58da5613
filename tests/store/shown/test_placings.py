"""Where evaluations stand on the leaderboard, as a process keeps it, on both databases."""

import random
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from sqlalchemy import Engine, event

from gauntlet.report.compared.leaderboard import Leaderboard
from store.database import Database
from store.shown import comparisons, placings
from store.subjects import deletions, evaluations
from tests.evaluations import FGSM, finished, imported, queued

PGD = {"kind": "pgd", "eps": "8/255", "steps": 2}


def leaderboard(database: Database, *, attack: str | None = None, limit: int = 20) -> Leaderboard:
    with database.reading() as session:
        return comparisons.leaderboard(session, attack=attack, dataset=None, limit=limit)


def seen_anew(database_url: str, *, attack: str | None = None, limit: int = 20) -> Leaderboard:
    """What a process says that knows nothing yet."""
    with closing(Database(database_url)) as database:
        return leaderboard(database, attack=attack, limit=limit)


@contextmanager
def rows_read() -> Iterator[list[int]]:
    """How many rows of evaluations' outcomes each statement inside the block names."""
    counts: list[int] = []

    def note(_c: object, _s: object, statement: str, parameters: object, _x: object, _m: object) -> None:
        if "outcome" in statement and isinstance(parameters, (tuple, list, dict)):
            named = parameters.values() if isinstance(parameters, dict) else parameters
            counts.append(sum(isinstance(value, str) and value.startswith("eval_") for value in named))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield counts
    finally:
        event.remove(Engine, "before_cursor_execute", note)


def test_what_is_kept_says_what_everything_would(database: Database, database_url: str) -> None:
    """After each of twelve changes, deletions among them, the lists are those of a process that reads all anew."""
    chance = random.Random(4)
    checkpoints = [imported(database, name, sha256=f"{name[0]}" * 64) for name in ("ann", "bob", "cid", "alf")]
    there: list[str] = []
    for step in range(12):
        if step % 4 == 3:
            with database.writing() as session:
                gone = there.pop(chance.randrange(len(there)))
                deletions.delete_evaluation(session, evaluations.get(session, gone))
        else:
            attacks = chance.choice([[FGSM], [PGD], [FGSM, PGD]])
            there.append(queued(database, chance.choice(checkpoints), *attacks))
            finished(database, there[-1], natural=4, robust=chance.randrange(5))
        for attack, limit in ((None, 20), ("pgd", 2)):
            kept = leaderboard(database, attack=attack, limit=limit)
            assert kept == seen_anew(database_url, attack=attack, limit=limit)
    assert len(leaderboard(database).groups) == 2


def test_a_leaderboard_reads_what_it_shows(database: Database) -> None:
    """Of twenty evaluations a list of two reads two, and of one more what is new of it."""
    for number in range(20):
        finished(database, queued(database, imported(database, f"m{number:02}")), natural=4, robust=number % 4)
    leaderboard(database, limit=2)
    with rows_read() as again:
        leaderboard(database, limit=2)
    assert sum(again) == 2
    finished(database, queued(database, imported(database, "last")), natural=4, robust=4)
    with rows_read() as after_another:
        board = leaderboard(database, limit=2)
    assert sum(after_another) == 3
    assert (board.groups[0].entries[0].name, board.groups[0].count) == ("last", 21)


def test_the_oldest_evaluations_give_way(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more than so many are kept, the newest."""
    monkeypatch.setattr(placings, "MOST_EVALUATIONS", 3)
    for number in range(5):
        finished(database, queued(database, imported(database, f"m{number:02}")), natural=4, robust=number % 4)
        board = leaderboard(database)
        assert board == seen_anew(database_url)
    assert sorted(entry.name for entry in board.groups[0].entries) == ["m02", "m03", "m04"]
