"""The live view of what is watched, on screens of several sizes."""

import pytest
from rich.cells import cell_len

from cli.jobs.bars import Bars, bars
from cli.jobs.watched import Row, duration
from gauntlet.resources import Status
from tests.cli.conftest import screen, written

LONG = "policy gradient, wrong = 0, baseline batch mean, seed 0, best FGSM"


def row(name: str, share: float | None = 0.45, status: Status = "running", standing: str = "training") -> Row:
    return Row(name, status, share, standing)


@pytest.mark.parametrize("width", [120, 80, 60, 40])
@pytest.mark.parametrize("standing", ["autoattack@16/255:apgd-ce · 1 min 17 s left", "queued (worker_shutdown)"])
def test_a_bar_and_a_percentage_stay(width: int, standing: str) -> None:
    """However narrow the screen and long the names: every word of the name, a bar, the percentage and what is done."""
    lines = [line.plain for line in bars([row(LONG, standing=standing), row("数据集" * 20)], width, 100)]
    text = "\n".join(lines)
    assert all(cell_len(line) <= width for line in lines)
    assert all(word in text for word in (*LONG.split(), *standing.split()))
    assert text.count("45 %") == 2
    assert sum("━" in line and "─" in line for line in lines) == 2


def test_short_names_stand_beside_their_bars() -> None:
    """A line a job; one that has not begun has an empty bar and no percentage."""
    found = bars(
        [row("one", 0.999), row("another", None, "queued", "queued"), row("x", 1.0, "succeeded", "done")], 80, 9
    )
    assert [line.plain for line in found] == [
        "one      ━━━━━━━━━━━━━━━━━━━━   99 %  training",
        "another  ────────────────────         queued",
        "x        ━━━━━━━━━━━━━━━━━━━━  100 %  done",
    ]


def test_of_many_jobs_those_that_run_are_shown() -> None:
    """Then those that failed; the others are counted in a last line, and the screen is not overrun."""
    statuses: list[Status] = ["succeeded"] * 300 + ["running"] * 4 + ["queued"] * 695 + ["failed"]
    rows = [row(f"job {number}", status=status) for number, status in enumerate(statuses)]
    lines = [line.plain for line in bars(rows, 80, 8)]
    assert len(lines) == 8
    assert [line.split("  ")[0] for line in lines[:-1]] == [f"job {n}" for n in (300, 301, 302, 303, 304, 305, 999)]
    assert lines[-1] == "… and 693 queued, 300 succeeded"


def test_a_terminal_without_such_letters_gets_others() -> None:
    """Where only ASCII can be written."""
    (line,) = bars([row("one", 0.5)], 80, 9, ascii_only=True)
    assert line.plain == "one  ##########----------   50 %  training"


def test_a_name_is_no_markup_and_moves_no_cursor() -> None:
    """Brackets stand as they are, and control characters are written out."""
    (line,) = bars([row("[red]\x1b[2J")], 80, 9)
    assert line.plain.startswith(r"[red]\x1b[2J  ")


def test_what_is_told_stands_above() -> None:
    """A line about the service does not disturb the bars."""
    console = screen(80)
    with Bars(console) as view:
        view.tell("The service answers again.")
    assert "The service answers again." in written(console)


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.4, "0 s"), (59, "59 s"), (61, "1 min 01 s"), (3_599.6, "1 h 00 min"), (7_620, "2 h 07 min")],
)
def test_durations_are_written_for_people(seconds: float, said: str) -> None:
    """Two units at most."""
    assert duration(seconds) == said
