"""Every list that the command prints, on screens of several widths and in a file, with values that hardly fit."""

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.cells import cell_len

from cli.shown.evaluation_tables import evaluations_listing, leaderboard_listing, transfer_listing
from cli.shown.listings import Column, Listing, _joined, _lined, print_card, print_listing
from cli.shown.tables import (
    checkpoints_listing,
    classifications_listing,
    events_listing,
    experiments_listing,
    runs_listing,
)
from gauntlet.report.compared.leaderboard import Leaderboard, LeaderboardEntry, LeaderboardGroup, PublishedReference
from gauntlet.report.compared.transfers import TransferMatrix
from gauntlet.resources import (
    AttackProgress,
    Checkpoint,
    Classification,
    ClassProbability,
    Evaluation,
    Event,
    Experiment,
    Progress,
    Run,
)
from gauntlet.results.accuracy import Accuracy
from gauntlet.results.doubts import Doubt
from gauntlet.spec.checkpoint_card import CheckpointCard, Imported
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.kinds import Digits
from gauntlet.spec.runs.architectures import Cnn
from tests.cli.conftest import file, screen, written
from tests.reports import measured, outcome

WIDTHS = (160, 120, 80, 60, 40)
NOW = datetime(2026, 11, 27, 3, 4, tzinfo=UTC)
# A sentence, one word of 120 letters, letters two columns wide, and what would move the cursor or turn the line around.
NAMES = (
    "policy gradient, wrong = 0, baseline batch mean, entropy bonus = 0.05, log prob floor = −16.118",
    "x" * 120,
    "数据集" * 12,
    "red\x1b[31m and \r\n\x07 back \u202e turned",
)
ENDED: dict[str, Any] = {
    "created_at": NOW,
    "started_at": NOW,
    "finished_at": NOW,
    "status": "failed",
    "status_reason": "dataset_unavailable",
    "status_detail": "There is no folder nowhere.",
    "attempt": 1,
    "device": None,
    "progress": None,
}
SPEC = ExperimentSpec.model_validate({"preset": "quickstart"})
CARD = CheckpointCard(
    architecture=Cnn(),
    dataset=Digits(),
    classes=tuple("0123456789"),
    image_shape=(1, 16, 16),
    origin=Imported(name="theirs"),
)
DOUBT = Doubt(kind="masked_gradients", severity="warning", sentence="Its gradients may be masked.")


def identifier(prefix: str, number: int) -> str:
    return f"{prefix}_01m8dcbmyqxm1khwy33p2c7d{number:02d}"


def accuracy(number: int) -> Accuracy:
    return Accuracy.of(number, 1_000)


def experiments() -> Listing:
    progress = Progress(phase="failed", completed=1_234, total=5_678, unit="jobs", eta_s=None)
    about: dict[str, Any] = {"created_at": NOW, "progress": progress, "spec": SPEC}
    return experiments_listing(
        Experiment(
            id=identifier("exp", number), name=name, status="failed", status_reason="dataset_unavailable", **about
        )
        for number, name in enumerate(NAMES)
    )


def runs() -> Listing:
    _, spec = SPEC.runs()[0]
    whose: dict[str, Any] = {"seed": 2**62, "spec": spec} | ENDED
    return runs_listing(
        Run(id=identifier("run", number), experiment=identifier("exp", number // 2), objective=name, **whose)
        for number, name in enumerate(NAMES)
    )


def checkpoints() -> Listing:
    about: dict[str, Any] = {"created_at": NOW, "experiment": None, "run": None, "objective": None, "seed": None}
    about |= {"epoch": None, "sha256": "ab" * 32, "bytes": 1, "card": CARD}
    return checkpoints_listing(
        Checkpoint(
            id=identifier("ckpt", number),
            name=name,
            metrics={"test_accuracy": 0.983, "test_fgsm_accuracy": 0.541} if number else {},
            **about,
        )
        for number, name in enumerate(NAMES)
    )


def evaluations() -> Listing:
    document = {"attacks": [{"kind": "fgsm", "eps": "8/255"}, {"kind": "autoattack", "eps": "8/255"}], "samples": 20}
    spec = EvaluationSpec.model_validate(document)
    found = outcome(spec, 0.9, random.Random(0), measured().classes)
    waiting = AttackProgress(label="fgsm@8/255", status="queued", completed=0, total=20, seconds=0, eta_s=None)
    about: dict[str, Any] = {"experiment": None, "run": None, "selection": (), "spec": spec} | ENDED
    return evaluations_listing(
        Evaluation(
            id=identifier("eval", number),
            checkpoint=identifier("ckpt", number),
            checkpoint_name=name,
            dataset="image_folder a-folder-with-quite-a-long-name-of-its-own",
            attacks=(waiting,),
            outcome=found if number else None,
            doubts=(DOUBT,) if number > 1 else (),
            **about,
        )
        for number, name in enumerate(NAMES)
    )


def leaderboard() -> Listing:
    protocol = outcome(SPEC.evaluation.of_one(), 0.9, random.Random(0), measured().classes).natural_protocol
    entries = tuple(
        LeaderboardEntry(
            rank=number + 1,
            checkpoint=identifier("ckpt", number),
            name=name,
            natural=accuracy(987 - number),
            robust=accuracy(512 - number),
            fingerprint="f",
            evaluation=identifier("eval", number),
            masking="SUSPECT" if number else "PASS",
            doubts=(DOUBT,) if number else (),
        )
        for number, name in enumerate(NAMES)
    )
    published = PublishedReference(name="Somebody2020Something", natural=0.8512, robust=0.5379, source="arXiv 2020.1")
    return leaderboard_listing(
        Leaderboard(
            groups=tuple(
                LeaderboardGroup(protocol=protocol, title=title, count=4, entries=entries, references=(published,))
                for title in ("digits, FGSM at ε = 8/255 (L∞), 1,000 images", "cifar10, AutoAttack at ε = 8/255 (L∞)")
            )
        )
    )


def transfers() -> Listing:
    sources = tuple(identifier("ckpt", number) for number in range(8))
    cells = tuple(tuple(None if row == 3 else accuracy(100 * row + column) for column in range(8)) for row in range(8))
    return transfer_listing(TransferMatrix(sources=sources, targets=sources, protocol=None, cells=cells))


def classifications() -> Listing:
    return classifications_listing(
        [
            Classification(
                image=name,
                checkpoint=identifier("ckpt", number),
                label=name,
                probability=0.7,
                probabilities=tuple(ClassProbability(label=f"{name} {each}", probability=0.7) for each in range(3)),
            )
            for number, name in enumerate(NAMES)
        ]
    )


def events() -> Listing:
    return events_listing(
        Event(
            id=number,
            created_at=NOW,
            type="alarm",
            kind="uniform_output",
            subject="run_1",
            experiment="exp_1",
            attempt=1,
            epoch=number or None,
            message=name,
            data={},
        )
        for number, name in enumerate(NAMES)
    )


EVERY = (experiments, runs, checkpoints, evaluations, leaderboard, transfers, classifications, events)


@pytest.mark.parametrize("make", EVERY)
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_on_a_screen(make: Callable[[], Listing], width: int) -> None:
    """Every id and number is whole on one line, every word of a text is there, and no line is wider than the screen."""
    listing, console = make(), screen(width)
    print_listing(listing, console)
    text = written(console)
    lines = text.splitlines()
    assert "\x1b" not in text
    assert "…" not in text
    for row in listing.rows:
        for cell, column in zip(row, listing.columns, strict=True):
            parts = _lined(cell).plain.split("\n")
            if column.kind == "text":
                parts = [word for word in _lined(cell).plain.split() if len(word) <= 12]
            assert all(any(part in line for line in lines) for part in parts)
    assert all(cell_len(line) <= width for line in lines)


@pytest.mark.parametrize("make", EVERY)
def test_a_file_has_a_line_a_row(make: Callable[[], Listing]) -> None:
    """Below the headings, with every field whole, however wide the console believes it to be."""
    listing = make()
    narrow, wide = file(20), file(500)
    print_listing(listing, narrow)
    print_listing(listing, wide)
    assert written(narrow) == written(wide)
    *head, headings = written(narrow).splitlines()[: -len(listing.rows)]
    assert head == ([listing.title] if listing.title else [])
    assert headings.split() == " ".join(column.heading for column in listing.columns).split()
    for row, line in zip(listing.rows, written(narrow).splitlines()[-len(listing.rows) :], strict=True):
        assert all(_joined(cell).plain in line for cell in row)
        assert "\x1b" not in line


def test_a_table_is_a_table_where_it_fits() -> None:
    """At 80 columns the lists of experiments, runs and checkpoints with ordinary names are."""
    listing = Listing([Column("experiment", "id"), Column("name"), Column("jobs", "number")], [["exp_1", "a", "1/2"]])
    console = screen(80)
    print_listing(listing, console)
    assert written(console).splitlines() == [
        "┏━━━━━━━━━━━━┳━━━━━━┳━━━━━━┓",
        "┃ experiment ┃ name ┃ jobs ┃",
        "┡━━━━━━━━━━━━╇━━━━━━╇━━━━━━┩",
        "│ exp_1      │ a    │  1/2 │",
        "└────────────┴──────┴──────┘",
    ]


def test_without_room_a_row_is_a_card() -> None:
    """Its id on a line of its own, each field beside its heading or, where it would be cut there, below it."""
    columns = [Column("experiment", "id"), Column("name"), Column("share", "number"), Column("of", "id")]
    console = screen(24)
    print_listing(Listing(columns, [["exp_0123456789012345678901", "two words", "12.3 %", "run_" + "9" * 26]]), console)
    assert written(console).splitlines() == [
        "exp_0123456789012345678901",
        "  name   two words",
        "  share  12.3 %",
        "  of",
        "run_99999999999999999999999999",
    ]


def test_what_does_not_fit_beside_goes_into_another_table() -> None:
    """With the columns that say what the rows are about."""
    columns = [Column("source"), *(Column(f"on {number}", "number") for number in range(1, 5))]
    console = screen(28)
    print_listing(Listing(columns, [["one", "11.1", "22.2", "33.3", "44.4"]], split=True), console)
    tables = [line for line in written(console).splitlines() if line.startswith("│")]
    assert tables == ["│ one    │ 11.1 │ 22.2 │", "│ one    │ 33.3 │ 44.4 │"]


def test_an_empty_list_says_so_on_a_screen() -> None:
    """In a file only the headings stand, which a script can tell from a row."""
    for console, told in ((screen(80), "There are no runs.\n"), (file(), "experiment  run  objective  seed  status\n")):
        print_listing(runs_listing([]), console)
        assert written(console) == told


def test_one_thing_is_a_card_everywhere() -> None:
    """In a file each field is one line."""
    fields = [
        (Column("name"), "one two three four five six seven"),
        (Column("of", "id"), "run_1"),
        (Column("why"), None),
        (Column("attacks"), ["fgsm", "pgd"]),
    ]
    for console, told in (
        (
            screen(24),
            ["exp_1", "  name     one two three", "           four five six", "           seven"],
        ),
        (file(), ["exp_1", "  name     one two three four five six seven"]),
    ):
        print_card("exp_1", list(fields), console)
        lines = written(console).splitlines()
        assert [line.rstrip() for line in lines[: len(told)]] == [line.rstrip() for line in told]
        assert lines[len(told)] == "  of       run_1"
        assert not any("why" in line for line in lines)
    assert written(console).splitlines()[-1] == "  attacks  fgsm, pgd"
