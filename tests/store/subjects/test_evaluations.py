"""Evaluations by themselves, on both databases: what is queued, counted, taken over and compared."""

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import delete

from gauntlet.results.finding import Finding
from gauntlet.results.margins import ImageMargin
from gauntlet.results.protocol import IMPLEMENTATIONS
from gauntlet.results.stage_results import NATURAL
from gauntlet.spec.evaluations.evaluation import EvaluationRequest
from gauntlet.spec.evaluations.transfers import TransferRequest
from store import pictures
from store.database import Database
from store.errors import IdempotencyConflict, RequestUnfit
from store.models import Evaluation, EvaluationBatch
from store.queue import batches, helpers
from store.shown import comparisons
from store.subjects import evaluation_requests, evaluations
from store.subjects.evaluations import AttackedSet
from tests.evaluations import FGSM, batch, begun, finished, imported, queued, recorded

PGD = {"kind": "pgd", "eps": "8/255"}
AUTO = {"kind": "autoattack", "eps": "8/255"}
LABEL = "fgsm@8/255"


def transfer(source: str) -> dict[str, str]:
    return {"kind": "transfer", "eps": "8/255", "source": source}


def test_an_evaluation_by_itself_waits_without_a_run(database: Database) -> None:
    """It names its checkpoint only, and is found by it."""
    checkpoint, other = imported(database, "one"), imported(database, "two")
    evaluation = queued(database, checkpoint)
    queued(database, other)
    with database.reading() as session:
        (found,) = evaluations.page(session, checkpoint=checkpoint, after=None, limit=10).rows
        (shown,) = evaluations.show(session, [found])
    assert (shown.id, shown.status, shown.checkpoint) == (evaluation, "queued", checkpoint)
    assert (shown.experiment, shown.run, shown.selection, shown.outcome) == (None, None, (), None)
    assert [attack.status for attack in shown.attacks] == ["queued"]


def test_what_does_not_fit_is_refused_by_the_field(database: Database) -> None:
    """A checkpoint that is not there, a source of other images or classes, too few classes for an attack."""
    ten, two = imported(database, "ten"), imported(database, "two", classes=2)
    large = imported(database, "large", side=32)
    refused: list[tuple[str, list[dict[str, Any]], str, str]] = [
        ("ckpt_none", [FGSM], "/checkpoint", "There is no checkpoint"),
        (ten, [FGSM, transfer("ckpt_none")], "/attacks/1/source", "There is no checkpoint"),
        (ten, [transfer(two)], "/attacks/0/source", "only the attacked checkpoint has 2, 3, 4, 5, 6 and 3 more"),
        (ten, [transfer(large)], "/attacks/0/source", "1 × 32 × 32"),
        (two, [FGSM, AUTO], "/attacks/1", "needs at least 4 classes"),
    ]
    for checkpoint, attacks, pointer, told in refused:
        with pytest.raises(RequestUnfit, match=told) as caught:
            queued(database, checkpoint, *attacks)
        assert [fault.pointer for fault in caught.value.faults] == [pointer]
    queued(database, two, FGSM, transfer(two))


def test_a_repeated_key_queues_nothing_more(database: Database) -> None:
    """The first request's evaluations come back and nobody is woken twice; for another request the key is refused."""
    pair = [imported(database, name) for name in ("one", "two")]
    transfers = TransferRequest.model_validate({"checkpoints": pair})
    single = EvaluationRequest.model_validate({"checkpoint": pair[0]})
    with database.writing() as session:
        matrix = evaluation_requests.create_transfers(session, transfers, "a")
        alone = evaluation_requests.create(session, single, "b")
        assert (len(matrix.waiting), len(alone.waiting)) == (2, 1)
    with database.writing() as session:
        again = evaluation_requests.create_transfers(session, transfers, "a")
        assert [row.id for row in again.evaluations] == [row.id for row in matrix.evaluations]
        assert again.waiting == evaluation_requests.create(session, single, "b").waiting == []
        with pytest.raises(IdempotencyConflict):
            evaluation_requests.create(session, single, "a")
    with database.reading() as session:
        assert len(evaluations.page(session, after=None, limit=10).rows) == 3


def test_one_key_serves_one_of_two_requests_that_come_at_once(database: Database) -> None:
    """While the first is not committed the second waits, and is refused then, though it is for another checkpoint."""
    one, two = (EvaluationRequest(checkpoint=imported(database, name)) for name in ("one", "two"))

    def ask_for_the_second() -> None:
        with database.writing() as session:
            evaluation_requests.create(session, two, "key")

    with ThreadPoolExecutor(1) as pool:
        with database.writing() as session:
            evaluation_requests.create(session, one, "key")
            second = pool.submit(ask_for_the_second)
            assert not wait([second], timeout=0.3).done
        with pytest.raises(IdempotencyConflict):
            second.result()
    with database.reading() as session:
        assert len(evaluations.page(session, after=None, limit=10).rows) == 1


def test_progress_is_counted_per_attack(database: Database) -> None:
    """Images and seconds of each evaluation's batches are its own, whatever page they are shown on."""
    checkpoint = imported(database, "one")
    held = begun(database, queued(database, checkpoint, FGSM, PGD))
    other = begun(database, queued(database, checkpoint))
    recorded(database, held, batch(NATURAL, 0, [0, 1], [0, 1]), batch(NATURAL, 1, [2, 3], [2, 0]))
    recorded(database, held, batch(LABEL, 0, [0, 1], [0, 5]), seconds=3.0)
    with database.reading() as session:
        second, first = evaluations.show(session, evaluations.page(session, after=None, limit=10).rows)
    assert (first.id, second.id) == (held.id, other.id)
    assert [(a.status, a.completed, a.total, a.seconds, a.eta_s) for a in first.attacks] == [
        ("running", 2, 4, 3.0, 3.0),
        ("queued", 0, 4, 0.0, None),
    ]
    assert [attack.completed for attack in second.attacks] == [0]


def test_batches_are_taken_over_from_equal_protocols_only(database: Database) -> None:
    """The same weights, data, seed, batch size and attack; neither its own nor any other's."""
    checkpoint, twin = imported(database, "one", sha256="1" * 64), imported(database, "twin", sha256="1" * 64)
    other = imported(database, "other")
    asked = begun(database, queued(database, checkpoint, FGSM, AUTO, samples=8))

    def done(stages: list[str], dataset: str = "d" * 64, of: str = twin, **fields: Any) -> None:
        held = begun(database, queued(database, of, FGSM, PGD, AUTO, **fields), dataset)
        recorded(database, held, *(batch(stage, 0, [0, 1], [0, 0]) for stage in stages))

    wanted = [NATURAL, LABEL, "autoattack@8/255:apgd-ce"]
    done([*wanted, "pgd@8/255"])
    done([LABEL], dataset="e" * 64)
    done([LABEL], of=other)
    done([LABEL], seed=1)
    done([LABEL], batch_size=3)
    recorded(database, asked, batch(LABEL, 0, [0, 1], [0, 1]))
    with database.reading() as session:
        found = batches.reusable(session, asked.id)
    assert sorted(row.stage for row in found) == sorted(wanted)
    with database.writing() as session:
        session.get_one(Evaluation, found[0].evaluation_id).implementation = "an older one"
    with database.reading() as session:
        assert batches.reusable(session, asked.id) == []


def test_a_natural_pass_without_margins_is_made_again(database: Database) -> None:
    """What an earlier version measured: its attacks serve, its natural pass does not."""
    checkpoint = imported(database, "one")
    first, second = (begun(database, queued(database, checkpoint)) for _ in range(2))
    recorded(database, first, replace(batch(NATURAL, 0, [0, 1], [0, 0]), margins=None), batch(LABEL, 0, [0, 1], [0, 0]))
    recorded(database, first, batch(NATURAL, 1, [2, 3], [2, 3]))
    with database.reading() as session:
        found = [(row.stage, row.batch) for row in batches.reusable(session, second.id)]
    assert sorted(found) == [(LABEL, 0), (NATURAL, 1)]


def test_of_batches_that_were_taken_over_the_first_serves(database: Database) -> None:
    """However often the same was evaluated, the next one reads one batch, and not every copy of it."""
    checkpoint = imported(database, "one")
    first, second, third = (begun(database, queued(database, checkpoint)) for _ in range(3))
    recorded(database, first, batch(LABEL, 0, [0, 1], [0, 0]), seconds=0.5)
    recorded(database, second, batch(LABEL, 0, [0, 1], [0, 0]), seconds=0)
    with database.reading() as session:
        assert [row.evaluation_id for row in batches.reusable(session, third.id)] == [first.id]


def test_an_attempt_on_other_data_starts_over(database: Database) -> None:
    """What an earlier attempt found on another test set, or by other code, is forgotten; on the same it stays."""
    held = begun(database, queued(database, imported(database, "one")))
    recorded(database, held, batch(NATURAL, 0, [0, 1], [0, 0]))
    for attacked, code, left in (("d", IMPLEMENTATIONS, 1), ("e", IMPLEMENTATIONS, 0), ("e", "another", 0)):
        with database.writing() as session:
            evaluations.note_start(session, held, AttackedSet(attacked * 64, 4), code)
        with database.reading() as session:
            assert len(evaluations.batches(session, held.id)) == left
        if not left:
            recorded(database, held, batch(NATURAL, 0, [0, 1], [0, 0]))


def test_what_nan_was_taken_for_otherwise_is_not_gone_on_with(database: Database) -> None:
    """What 1.0.0 noted names the versions of today's fingerprints: its batches are neither kept nor taken over."""
    checkpoint, attacked = imported(database, "one"), AttackedSet("d" * 64, 4)
    fast = {"kind": "fast", "version": 2, "eps": "8/255"}
    half, other = (begun(database, queued(database, checkpoint, fast)) for _ in range(2))
    codes = ("gauntlet 2, pyautoattack 0.2.0, cpu", helpers.implementation("cpu"))
    for code, left in zip(codes, (1, 0), strict=True):
        with database.writing() as session:
            evaluations.note_start(session, half, attacked, codes[0])
        recorded(database, half, batch("fast(version=2)@8/255:square", 0, [0, 1], [0, 0]))
        with database.writing() as session:
            evaluations.note_start(session, other, attacked, code)
            assert len(batches.reusable(session, other.id)) == left
            evaluations.note_start(session, half, attacked, code)
            assert len(evaluations.batches(session, half.id)) == left
            session.execute(delete(EvaluationBatch))


def test_the_leaderboard_ranks_like_with_like(database: Database) -> None:
    """One list per protocol; equal numbers share a rank; the newest evaluation of the same weights counts."""
    best, worse, alike = (imported(database, name) for name in ("best", "worse", "alike"))
    for checkpoint, robust in ((best, 1), (best, 3), (worse, 1), (alike, 1)):
        finished(database, queued(database, checkpoint), natural=4, robust=robust)
    finished(database, queued(database, worse, samples=6), natural=6, robust=6)
    finished(database, queued(database, worse, PGD), natural=4, robust=2)
    begun(database, queued(database, best))
    with database.reading() as session:
        found = comparisons.leaderboard(session, attack=None, dataset=None, limit=10)
        fgsm = comparisons.leaderboard(session, attack="fgsm", dataset="digits", limit=1)
        assert comparisons.leaderboard(session, attack=None, dataset="cifar10", limit=1).groups == ()
    first, *rest = found.groups
    assert first.title == "digits, FGSM at ε = 8/255 (L∞), 4 images"
    assert [(e.rank, e.name, e.robust.value) for e in first.entries] == [
        (1, "best", 0.75),
        (2, "worse", 0.25),
        (2, "alike", 0.25),
    ]
    assert [(group.title, len(group.entries)) for group in rest] == [
        ("digits, FGSM at ε = 8/255 (L∞), 6 images", 1),
        ("digits, PGD at ε = 8/255 (L∞), 4 images", 1),
    ]
    assert len({group.protocol.id for group in found.groups}) == 3
    assert [(group.count, len(group.entries)) for group in fgsm.groups] == [(3, 1), (1, 1)]


def test_what_any_evaluation_found_stands_beside_the_place(database: Database) -> None:
    """Weights that one evaluation of four finds masked are marked in every list, with the reason; others are not."""
    doubted, sound = imported(database, "doubted"), imported(database, "sound")
    finding = Finding(kind="random_output", severity="warning", message="Two passes differ.")
    finished(database, queued(database, doubted), natural=4, robust=3)
    finished(database, queued(database, doubted, PGD, masking={"samples": 4}), natural=4, robust=3, zero_gradients=4)
    finished(database, queued(database, doubted, PGD, samples=6), natural=6, robust=3, findings=[finding])
    finished(database, queued(database, doubted, samples=6), natural=6, robust=3)
    finished(database, queued(database, sound, masking={"samples": 4}), natural=4, robust=2)
    with database.reading() as session:
        found = comparisons.leaderboard(session, attack="fgsm", dataset=None, limit=10)
        shown = evaluations.show(session, evaluations.page(session, checkpoint=doubted, after=None, limit=10).rows)
    for group in found.groups:
        (marked,) = (entry for entry in group.entries if entry.name == "doubted")
        assert marked.masking == "SUSPECT"
        assert {doubt.kind for doubt in marked.doubts} == {"masked_gradients", "random_output"}
        assert "no number throughout 4 of 4" in next(d.sentence for d in marked.doubts if d.kind == "masked_gradients")
    (clean,) = (entry for group in found.groups for entry in group.entries if entry.name == "sound")
    assert (clean.masking, clean.doubts) == ("PASS", ())
    # By itself an evaluation says what it found.
    assert [[doubt.kind for doubt in each.doubts] for each in shown] == [
        [],
        ["random_output"],
        ["masked_gradients"],
        [],
    ]


def test_a_transfer_matrix_is_of_one_protocol(database: Database) -> None:
    """Each target is a job; cells appear as they end, and those of another protocol stay out."""
    one, two = imported(database, "one"), imported(database, "two")
    request = TransferRequest.model_validate({"checkpoints": [one, two], "samples": 4, "batch_size": 4})
    with database.writing() as session:
        to_one, to_two = evaluation_requests.create_transfers(session, request, None).waiting

    def cells() -> list[list[float | None]]:
        with database.reading() as session:
            found = comparisons.transfers(session, (one, two), eps=request.eps, norm="Linf", steps=50, loss=None)
        return [[cell and cell.value for cell in row] for row in found.cells]

    assert cells() == [[None, None], [None, None]]
    finished(database, to_two, natural=4, robust=3)
    assert cells() == [[None, 0.75], [None, 0.75]]
    finished(database, to_one, natural=4, robust=1)
    # Newer, but of other images and of one cell only.
    finished(database, queued(database, one, transfer(two), samples=6), natural=6, robust=6)
    assert cells() == [[0.25, 0.75], [0.25, 0.75]]
    finished(database, queued(database, one, transfer(two), samples=4, batch_size=4), natural=4, robust=2)
    assert cells() == [[0.25, 0.75], [0.5, 0.75]]


def test_a_transfer_matrix_says_which_targets_are_in_doubt(database: Database) -> None:
    """By what any evaluation of them found, in whichever one the cell was measured."""
    one, two = imported(database, "one"), imported(database, "two")
    request = TransferRequest.model_validate({"checkpoints": [one, two], "samples": 4, "batch_size": 4})
    with database.writing() as session:
        to_one, to_two = evaluation_requests.create_transfers(session, request, None).waiting
    finished(database, to_one, natural=4, robust=1)
    finished(database, to_two, natural=4, robust=3)
    finding = Finding(kind="random_output", severity="warning", message="Two passes differ.")
    finished(database, queued(database, two), natural=4, robust=3, findings=[finding])
    with database.reading() as session:
        found = comparisons.transfers(session, (one, two), eps=request.eps, norm="Linf", steps=50, loss=None)
    assert {target: [doubt.kind for doubt in doubts] for target, doubts in found.doubts.items()} == {
        two: ["random_output"]
    }


def test_a_transfer_matrix_needs_models_alike(database: Database) -> None:
    """The one that differs from the first is named, and nothing is queued."""
    one, two = imported(database, "one"), imported(database, "two", classes=2)
    request = TransferRequest.model_validate({"checkpoints": [one, two]})
    with pytest.raises(RequestUnfit) as caught, database.writing() as session:
        evaluation_requests.create_transfers(session, request, None)
    assert [fault.pointer for fault in caught.value.faults] == ["/checkpoints/1"]
    with database.reading() as session:
        assert evaluations.page(session, after=None, limit=10).rows == []


def test_margins_are_stored_as_they_were_measured(database: Database) -> None:
    """Of a gradient that is not finite too; other stages have none."""
    held = begun(database, queued(database, imported(database, "one")))
    margins = (ImageMargin(0.9, 0.9, 2.5, 120.5, 3.25), ImageMargin(0.1, 0.6, -1.0, None, None))
    recorded(database, held, replace(batch(NATURAL, 0, [0, 1], [0, 0]), margins=margins))
    recorded(database, held, batch(LABEL, 0, [0, 1], [0, 0]))
    with database.reading() as session:
        stored = {row.stage: row.margins for row in evaluations.batches(session, held.id)}
    assert stored[LABEL] is None
    assert [ImageMargin._make(margin) for margin in stored[NATURAL] or ()] == list(margins)


def test_those_that_have_ended_are_found_among_any_number(database: Database) -> None:
    """Of all that ever kept pictures, more than a statement takes values."""
    ended, waiting = (queued(database, imported(database, name)) for name in ("one", "two"))
    with database.writing() as session:
        evaluations.cancel(session, ended)
    others = [f"eval_{number}" for number in range(260_000)]
    with database.reading() as session:
        assert pictures.ended(session, [*others, ended, waiting]) == {ended}
