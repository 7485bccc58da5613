"""Which accuracies under attack an experiment has: one for each attack, norm and budget that it asked for.

Where several attacks share a norm and a budget, their worst case is one more.
"""

from collections.abc import Sequence
from fractions import Fraction

from pydantic import BaseModel, ConfigDict

from gauntlet.report.numbers import listed
from gauntlet.results.accuracy import Accuracy, RightImages, right_in_all
from gauntlet.results.outcome import EvaluationOutcome
from gauntlet.spec.eps import Eps, format_eps
from gauntlet.spec.evaluations.attack_titles import attack_heading, attack_name, attack_title, budget, short_budget
from gauntlet.spec.evaluations.attacks import AnyAttack, Norm, attack_label, threat_model
from gauntlet.spec.evaluations.evaluation import EvaluationSpec

_MOST_NAMED = 3


class Column(BaseModel):
    """One accuracy under attack. `key` is its place in a row's `accuracies` and never lacks the budget.

    `heading` is short enough to stand above a column and `name` long enough for a sentence: `AutoAttack 8/255`,
    `AutoAttack at ε = 8/255 (L∞)`. `attacks` are the labels of the one attack, or of those that a worst case is of.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    key: str
    heading: str
    name: str
    norm: Norm
    eps: Eps
    attacks: tuple[str, ...]


def columns(spec: EvaluationSpec) -> tuple[Column, ...]:
    """Budget by budget, as the spec first names them: its attacks, then their worst case if they are several."""
    together: dict[str, list[AnyAttack]] = {}
    for attack in spec.attacks:
        together.setdefault(threat_model(attack), []).append(attack)
    return tuple(column for alike in together.values() for column in (*map(_of_one, alike), *_of_all(alike)))


def headline(columns: Sequence[Column], norm: Norm, trained_at: Fraction) -> Column:
    """The accuracy that objectives are compared in: the strongest that the experiment asked for.

    That is the worst case (or the only attack) at the budget of training, under its norm. An experiment that did not
    ask for that budget has its first norm's largest instead. It follows from the spec, so no result can choose it.
    """
    at_training = [column for column in columns if (column.norm, column.eps) == (norm, trained_at)]
    if trained_at == 0 or not at_training:
        first = next((column.norm for column in columns if column.eps > 0), columns[0].norm)
        largest = max(column.eps for column in columns if column.norm == first)
        return [column for column in columns if (column.norm, column.eps) == (first, largest)][-1]
    return at_training[-1]


def attacked_accuracies(outcome: EvaluationOutcome) -> dict[str, Accuracy]:
    """What an evaluation found, by the keys of its spec's columns."""
    found = {attack_label(each.attack): each.accuracy for each in outcome.attacks}
    for worst in outcome.worst_cases:
        if len(worst.attacks) > 1:
            found[_worst_key(worst.norm, worst.eps)] = worst.accuracy
    return found


def attacked_right(outcome: EvaluationOutcome, key: str) -> RightImages | None:
    """Which images are right in one of these columns; None where an earlier version measured it."""
    by_key = {attack_label(each.attack): [each.right] for each in outcome.attacks}
    by_key |= {
        _worst_key(worst.norm, worst.eps): [
            outcome.natural_right,
            *(right for label in worst.attacks for right in by_key[label]),
        ]
        for worst in outcome.worst_cases
        if len(worst.attacks) > 1
    }
    known = [right for right in by_key[key] if right is not None]
    return right_in_all(known) if len(known) == len(by_key[key]) else None


def _of_one(attack: AnyAttack) -> Column:
    return Column(
        key=attack_label(attack),
        heading=attack_heading(attack),
        name=attack_name(attack),
        norm=attack.norm,
        eps=attack.eps,
        attacks=(attack_label(attack),),
    )


def _of_all(alike: Sequence[AnyAttack]) -> list[Column]:
    if len(alike) == 1:
        return []
    norm, eps = alike[0].norm, alike[0].eps
    few = len(alike) <= _MOST_NAMED
    named = listed([attack_title(attack) for attack in alike]) if few else f"{len(alike)} attacks"
    return [
        Column(
            key=_worst_key(norm, eps),
            heading=f"worst case {short_budget(norm, eps)}",
            name=f"the worst of {named} at {budget(norm, eps)}",
            norm=norm,
            eps=eps,
            attacks=tuple(map(attack_label, alike)),
        )
    ]


def _worst_key(norm: Norm, eps: Fraction) -> str:
    return f"worst_case@{'' if norm == 'Linf' else f'{norm}:'}{format_eps(eps)}"
