"""Answers in pieces, between which other threads have their turn."""

import json

import pytest

from gauntlet.report.report import Report
from gauntlet.resources import Page, ProblemError, RunSeries, Series
from service.transport.writing import Writer
from tests.reports import made_up


def series(runs: int) -> Series:
    of_one = RunSeries(run="run_1", objective="o", seed=0, epochs=(1, 2), values={"a": (0.5, None)})
    return Series(experiment="exp_1", metrics=("a",), runs=(of_one,) * runs)


@pytest.mark.parametrize("runs", [0, 100, 101, 1_000])
def test_however_much_an_answer_holds_no_piece_of_it_is_long(runs: int) -> None:
    """A list up to a page's length is one; of a longer one each item is."""
    pieces = list(Writer(Series).pieces(series(runs)))
    assert json.loads(b"".join(pieces)) == series(runs).model_dump(mode="json")
    assert max(map(len, pieces)) <= len(series(100).model_dump_json())


def test_a_report_in_pieces_is_the_report() -> None:
    """Its rows and all its other long lists, with what their items leave out or write in a way of their own."""
    report = made_up({"evaluation": {"samples": 50}, "seeds": [0]})
    long = {name: getattr(report, name) * 101 for name in ("rows", "columns", "curves", "costs")}
    long |= {"warnings": ("ä",) * 101, "objectives": report.objectives * 101}
    report = report.model_copy(update=long)
    writer = Writer(Report)
    assert len(list(writer.pieces(report))) > 600
    assert json.loads(writer.write(report)) == json.loads(report.model_dump_json(by_alias=True))


def test_what_is_no_model_or_generic_is_written_too() -> None:
    """A page by the type of its objects, and text as JSON has it."""
    fault = ProblemError(pointer="/a", message="b")
    page = Page[ProblemError](data=(fault,) * 200, has_more=False, next=None)
    assert json.loads(Writer(Page[ProblemError]).write(page)) == page.model_dump(mode="json")
    assert Writer(str | None).write("a") == b'"a"'
