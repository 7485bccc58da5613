"""Like ranked with like, and published numbers beside measured ones."""

from fractions import Fraction
from typing import Any

import pytest

from gauntlet.events import BatchAttacked
from gauntlet.report.compared.leaderboard import Candidate, Leaderboard, LeaderboardEntry, rank
from gauntlet.results.accuracy import Accuracy
from gauntlet.results.doubts import Doubt
from gauntlet.results.outcome import Measured, summarise
from gauntlet.spec.evaluations.attacks import FgsmAttack, attack_label
from gauntlet.spec.evaluations.ensembles import parts_of
from gauntlet.spec.evaluations.evaluation import EvaluationSpec

AUTO = {"kind": "autoattack", "eps": "8/255"}
FGSM = FgsmAttack(eps=Fraction(8, 255))


def board(attack: dict[str, Any], dataset: str = "cifar10") -> Leaderboard:
    """Of one checkpoint that an attack leaves two of four images right."""
    spec = EvaluationSpec.model_validate({"attacks": [attack], "samples": 4})
    images, labels = (0, 1, 2, 3), (0, 1, 2, 3)
    label = attack_label(spec.attacks[0])
    stages = [f"{label}:{part}" for part in parts_of(spec.attacks[0])] or [label]
    batches = [
        BatchAttacked("natural", 0, images, labels, labels, (False,) * 4, 0, 0),
        *(BatchAttacked(stage, 0, images, labels, (0, 1, 0, 0), None, 0, 0) for stage in stages),
    ]
    outcome = summarise(spec, batches, Measured("w" * 64, dataset, "d" * 64, tuple("abcd")))
    return rank([Candidate("eval_1", "ckpt_1", "one", "w" * 64, outcome.natural, None, (), outcome.attacks)], 10)


def test_published_numbers_stand_beside_like_ones() -> None:
    """Under AutoAttack's standard version at 8/255 on CIFAR-10, without a rank and apart from the entries."""
    (group,) = board(AUTO).groups
    assert [entry.robust.value for entry in group.entries] == [0.5]
    names = [reference.name for reference in group.references]
    engstrom = group.references[names.index("Engstrom 2019, ResNet-50")]
    assert (engstrom.natural, engstrom.robust) == (0.8703, 0.4925)
    assert engstrom.source.startswith("RobustBench")
    assert "TRADES, WRN-34-10" not in names, "its budget is 0.031"
    assert not any(reference.ranked for reference in group.references)
    robust = [reference.robust for reference in group.references]
    assert robust == sorted(robust, reverse=True)


@pytest.mark.parametrize(
    "attack",
    [AUTO | {"version": "plus"}, AUTO | {"norm": "L2"}, AUTO | {"eps": "4/255"}, {"kind": "square", "eps": "8/255"}],
)
def test_no_published_number_stands_beside_another_protocol(attack: dict[str, Any]) -> None:
    """Another version, norm, budget or attack has no references."""
    (group,) = board(attack).groups
    assert group.references == ()


def test_an_exact_budget_finds_its_own_number() -> None:
    """0.031 is not 8/255; and no number is published for other data."""
    (group,) = board(AUTO | {"eps": "0.031"}).groups
    assert [reference.name for reference in group.references] == ["TRADES, WRN-34-10"]
    (group,) = board(AUTO, "digits").groups
    assert group.references == ()


def test_a_board_has_a_hundred_lists_at_most() -> None:
    """A sweep over many budgets does not make the answer endless; what most checkpoints share comes first."""
    sweep = [board({"kind": "pgd", "eps": f"{level}/1000"}) for level in range(150)]
    alone = [_candidate(group.protocol.attack, "a") for found in sweep for group in found.groups]
    found = rank([*alone, _candidate(alone[-1].outcomes[0].attack, "b")], 10)
    assert len(found.groups) == 100
    assert found.groups[0].count == 2


def _candidate(attack: Any, weights: str, natural: int = 4, robust: int = 4, **found: Any) -> Candidate:
    """Of four images so many are right as they are, and under the attack."""
    spec = EvaluationSpec(attacks=(attack,), samples=4)
    images = (0, 1, 2, 3)
    batches = [
        BatchAttacked(stage, 0, images, (0,) * 4, tuple(int(image >= right) for image in images), wrong, 0, 0)
        for stage, right, wrong in (("natural", natural, (False,) * 4), (attack_label(attack), robust, None))
    ]
    outcome = summarise(spec, batches, Measured(weights, "digits", "d" * 64, tuple("ab")))
    whose = {"evaluation": "eval_1", "checkpoint": f"ckpt_{weights}", "name": "one", "masking": None, "doubts": ()}
    return Candidate(weights_sha256=weights, natural=outcome.natural, outcomes=outcome.attacks, **(whose | found))


def test_equals_share_a_rank_and_the_next_has_its_own_place() -> None:
    """By robust accuracy; of equals the naturally better first, then by name. A limit cuts, and does not count."""
    measured = [("e", 4, 1), ("d", 3, 2), ("a", 3, 2), ("b", 3, 3), ("c", 4, 2)]
    candidates = [_candidate(FGSM, name, natural, robust) for name, natural, robust in measured]
    (group,) = rank(candidates, 5).groups
    assert [(entry.checkpoint[-1], entry.rank) for entry in group.entries] == [
        ("b", 1), ("c", 2), ("a", 2), ("d", 2), ("e", 5)
    ]  # fmt: skip
    assert group.title == "digits, FGSM at ε = 8/255 (L∞), 4 images"
    assert group.protocol == candidates[0].outcomes[0].protocol
    (cut,) = rank(candidates, 2).groups
    assert (cut.count, cut.entries) == (5, group.entries[:2])


def test_an_entry_is_what_was_measured_of_its_checkpoint() -> None:
    """Its accuracies, where they come from, and by what they can be measured again."""
    one = _candidate(FGSM, "a", 3, 2, name="mine", evaluation="eval_7", masking="PASS")
    (group,) = rank([one], 1).groups
    assert group.entries == (
        LeaderboardEntry(
            rank=1,
            checkpoint="ckpt_a",
            name="mine",
            natural=Accuracy.of(3, 4),
            robust=Accuracy.of(2, 4),
            fingerprint=one.outcomes[0].fingerprint,
            evaluation="eval_7",
            masking="PASS",
        ),
    )


def test_the_same_weights_stand_once_and_all_that_speaks_against_them_beside() -> None:
    """The first candidate's number and the doubts of all, of one kind as the first of them says it."""
    said = [Doubt(kind=kind, severity="warning", sentence=sentence) for kind, sentence in (("x", "1"), ("y", "2"))]
    again = said[0].model_copy(update={"sentence": "3"})
    first = _candidate(FGSM, "a", 4, 2, evaluation="eval_1", doubts=(said[0],))
    later = _candidate(FGSM, "a", 4, 3, evaluation="eval_2", doubts=(said[1], again))
    (group,) = rank([first, later, _candidate(FGSM, "b", 4, 1)], 10).groups
    assert [(entry.evaluation, entry.robust.value) for entry in group.entries] == [("eval_1", 0.5), ("eval_1", 0.25)]
    assert {doubt.kind: doubt.sentence for doubt in group.entries[0].doubts} == {"x": "1", "y": "2"}
    assert group.entries[1].doubts == ()


@pytest.mark.parametrize(
    ("found", "told"), [((None, None), None), ((None, "PASS"), "PASS"), (("PASS", "SUSPECT"), "SUSPECT")]
)
def test_one_suspicion_outweighs_all_that_saw_nothing(found: tuple[Any, ...], told: str | None) -> None:
    """Of the evaluations of one network; where none looked nothing is said."""
    (group,) = rank([_candidate(FGSM, "a", masking=verdict) for verdict in found], 10).groups
    assert group.entries[0].masking == told


def test_lists_are_counted_by_whoever_knows_all_checkpoints() -> None:
    """Only those that are counted are shown, the longest first, of equals by title."""
    at = {level: _candidate(FgsmAttack(eps=Fraction(level, 255)), "a") for level in (2, 4, 6, 8)}
    ids = {level: one.outcomes[0].protocol.id for level, one in at.items()}
    found = rank(list(at.values()), 10, {ids[8]: 3, ids[6]: 3, ids[2]: 7})
    assert [(group.count, group.title.split()[5]) for group in found.groups] == [
        (7, "2/255"), (3, "6/255"), (3, "8/255")
    ]  # fmt: skip
