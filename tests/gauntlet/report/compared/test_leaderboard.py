"""Published numbers beside measured ones."""

from typing import Any

import pytest

from gauntlet.events import BatchAttacked
from gauntlet.report.compared.leaderboard import Candidate, Leaderboard, rank
from gauntlet.results.outcome import Measured, summarise
from gauntlet.spec.evaluations.attacks import attack_label
from gauntlet.spec.evaluations.evaluation import EvaluationSpec

AUTO = {"kind": "autoattack", "eps": "8/255"}


def board(attack: dict[str, Any], dataset: str = "cifar10") -> Leaderboard:
    """Of one checkpoint that an attack leaves two of four images right."""
    spec = EvaluationSpec.model_validate({"attacks": [attack], "samples": 4})
    images, labels = (0, 1, 2, 3), (0, 1, 2, 3)
    label = attack_label(spec.attacks[0])
    stage = f"{label}:apgd-ce" if attack["kind"] == "autoattack" else label
    batches = [
        BatchAttacked("natural", 0, images, labels, labels, (False,) * 4, 0, 0),
        BatchAttacked(stage, 0, images, labels, (0, 1, 0, 0), None, 0, 0),
    ]
    outcome = summarise(spec, batches, Measured("w" * 64, dataset, "d" * 64, tuple("abcd")))
    return rank([Candidate("eval_1", "ckpt_1", "one", "w" * 64, outcome.natural, None, (), outcome.attacks)], 10)


def test_published_numbers_stand_beside_like_ones() -> None:
    """Under AutoAttack's standard version at 8/255 on CIFAR-10, without a rank and apart from the entries."""
    (group,) = board(AUTO).groups
    assert [entry.robust.value for entry in group.entries] == [0.5]
    names = [reference.name for reference in group.references]
    assert "Engstrom 2019, ResNet-50" in names
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


def _candidate(attack: Any, weights: str) -> Candidate:
    spec = EvaluationSpec(attacks=(attack,), samples=2)
    stage = attack_label(attack)
    batches = [
        BatchAttacked(name, 0, (0, 1), (0, 1), (0, 1), (False,) * 2 if name == "natural" else None, 0, 0)
        for name in ("natural", stage)
    ]
    outcome = summarise(spec, batches, Measured(weights, "digits", "d" * 64, tuple("ab")))
    return Candidate("eval_1", f"ckpt_{weights}", "one", weights, outcome.natural, None, (), outcome.attacks)
