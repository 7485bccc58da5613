"""`python -m service.aside.reporting`: the process that puts together what is shown of very many rows. Loads no torch.

An order names the "database" by its URL, an "experiment", and what is "wanted" of it (`written`). Behind the answer
comes what was written, of so many bytes ("sizes"), or nothing where there is nothing to draw. It is refused as
"missing" where there is no such experiment, and as "away" where the database is.
"""

import gc
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree

from gauntlet.rendering import draw, render
from gauntlet.report.report import Report
from gauntlet.resources import Series
from service.aside.bounds import Answer, serve
from service.transport.writing import Writer
from store.database import Database
from store.errors import NotFound
from store.shown import reports, series

_REPORT, _SERIES = Writer(Report), Writer(Series)
# Whoever answers everybody, or trains, goes first.
_NICE = 5


def written(database: Database, experiment: str, wanted: Mapping[str, Any]) -> bytes | None:
    """The "series" of these metrics, the "figure" of a name, or the report in a "format"; None is an empty figure.

    Raises:
        NotFound: there is no such experiment.
    """
    with database.reading() as session:
        if "series" in wanted:
            found = series.of_experiment(session, experiment, wanted["series"])
        else:
            report = reports.build(session, experiment)
    if "series" in wanted:
        return _SERIES.write(found)
    if "figure" in wanted:
        drawn = draw(report, wanted["figure"])
        return None if drawn is None else drawn.encode()
    # In pieces: where many threads share a lock, each lets others have it.
    return _REPORT.write(report) if wanted["format"] == "json" else render(report, wanted["format"]).encode()


def answer(order: Mapping[str, Any], _content: bytes) -> Answer:
    """What is wanted of an experiment."""
    # Of the order before: to look for it while a report lives would look through the report again and again.
    gc.collect()
    try:
        found = written(_database(order["database"]), order["experiment"], order["wanted"])
    except NotFound:
        return {"refused": "missing"}, ()
    except (OperationalError, NoConnectionFree):
        return {"refused": "away"}, ()
    return ({"sizes": []}, ()) if found is None else ({"sizes": [len(found)]}, [found])


@lru_cache(maxsize=1)
def _database(url: str) -> Database:
    return Database(url, connections=1)


if __name__ == "__main__":
    os.nice(_NICE)
    gc.freeze()
    gc.disable()
    serve(answer, beyond_memory="takes more than {} MiB")
