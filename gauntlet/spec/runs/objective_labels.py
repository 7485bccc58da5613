"""What the objectives of an experiment are called, by programs and by people."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gauntlet.spec.runs.objectives import ObjectiveSpec

# The kinds as a reader knows them.
_TITLES = {
    "cross_entropy": "cross-entropy",
    "trades": "TRADES",
    "mart": "MART",
    "policy_gradient": "policy gradient",
    "expected_reward": "expected reward",
    "a2c": "A2C",
    "ppo": "PPO",
    "dqn": "DQN",
}
# What no number depends on, or what others are compared within.
_NAMES = {"kind", "label"}


def objective_labels(objectives: Sequence[ObjectiveSpec]) -> tuple[str, ...]:
    """One name per objective, by which rows and runs are found: its `label`, or else its kind, such as `ppo`.

    A label that reads as another kind, such as `TRADES` for cross-entropy, has the objective's own kind behind it.
    Where a kind occurs twice without a label, what departs from the defaults follows it: `policy gradient, wrong = 0,
    baseline batch mean`. Unlike objectives have unlike names, unless their labels are equal.
    """
    kinds = Counter(objective.kind for objective in objectives if objective.label is None)
    return tuple(
        _labelled(objective.label, objective.kind)
        if objective.label
        else (objective.kind if kinds[objective.kind] == 1 else _with_departures(objective))
        for objective in objectives
    )


def objective_title(label: str) -> str:
    """The name as a reader is shown it: `cross-entropy` for `cross_entropy`; a longer one is written for readers."""
    return _TITLES.get(label, label)


def departures(objective: ObjectiveSpec, other: ObjectiveSpec | None = None) -> str:
    """What departs from the kind's defaults, such as `wrong = 0, baseline batch mean`; empty where nothing does.

    `other`, of the same kind, stands in for the defaults.
    """
    changed = objective.model_dump(exclude_defaults=other is None, exclude=_NAMES)
    if other is not None:
        theirs = other.model_dump(exclude=_NAMES)
        changed = {field: value for field, value in changed.items() if value != theirs[field]}
    return ", ".join(f"{field.replace('_', ' ')}{_written(value)}" for field, value in _flat(changed))


def _labelled(label: str, kind: str) -> str:
    read = {_read(each): name for name, title in _TITLES.items() for each in (name, title)}
    return label if read.get(_read(label), kind) == kind else f"{label} ({_TITLES[kind]})"


def _read(name: str) -> str:
    """The name as it is read, however it is spelt."""
    return re.sub(r"[\s_-]+", " ", name).casefold()


def _with_departures(objective: ObjectiveSpec) -> str:
    changed = departures(objective)
    return f"{_TITLES[objective.kind]}, {changed}" if changed else objective.kind


def _flat(changed: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The fields with those of a nested value in its place; no two of an objective have one name."""
    for field, value in changed.items():
        if isinstance(value, Mapping):
            yield from _flat(value)
        else:
            yield field, value


def _written(value: object) -> str:
    match value:
        case bool():
            return " on" if value else " off"
        case float():
            return f" = {str(value).removesuffix('.0').replace('-', '−')}"
        case str():
            return f" {value.replace('_', ' ')}"
        case _:
            return f" = {value}"
