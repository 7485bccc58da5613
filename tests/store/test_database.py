"""What the connections to a database are set to."""

from pathlib import Path

from sqlalchemy import text

from store.database import Database


def test_the_log_of_writes_shrinks_again(sqlite_url: str) -> None:
    """A reader that holds one view for long lets SQLite's log grow; it is cut after the reader has gone."""
    log = Path(sqlite_url.removeprefix("sqlite:///") + "-wal")
    database = Database(sqlite_url)
    with database.writing() as session:
        session.execute(text("CREATE TABLE filling (content BLOB)"))
    with database.reading() as reader:
        reader.execute(text("SELECT count(*) FROM filling"))
        for _ in range(8):
            with database.writing() as session:
                session.execute(text("INSERT INTO filling VALUES (zeroblob(1000000))"))
        assert log.stat().st_size > 8_000_000
    for _ in range(2):
        with database.writing() as session:
            session.execute(text("INSERT INTO filling VALUES (x'00')"))
    assert log.stat().st_size <= 4 << 20
    database.close()
