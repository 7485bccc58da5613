"""The most robust checkpoint of each experiment, for lists: what a report would say, without putting one together.

It follows from evaluations that have ended, which nothing changes any more, so what was found of an experiment is kept
until another of its evaluations ends or one is deleted. Measured: 30 experiments of 1,000 evaluations each take 1.1 s
of a core the first time that a process is asked for them, and then 0.01.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from gauntlet.report.columns import columns, headline
from gauntlet.resources import BestResult
from gauntlet.results.outcome import WorstCase
from gauntlet.spec.experiment import ExperimentSpec
from store.models import Evaluation, Run

# How many of an experiment's evaluations have ended, and when the last did.
_Ended = tuple[int, float | None]
_MOST_KEPT = 10_000


class _Kept:
    """What was found last of the experiments of one database."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: OrderedDict[str, tuple[_Ended, BestResult | None]] = OrderedDict()

    def missing(self, ended: Mapping[str, _Ended]) -> list[str]:
        """The experiments of which it is not known what followed from just these evaluations."""
        with self._lock:
            return [name for name, of in ended.items() if self._found.get(name, (None, None))[0] != of]

    def keep(self, name: str, ended: _Ended, best: BestResult | None) -> None:
        with self._lock:
            self._found[name] = (ended, best)
            self._found.move_to_end(name)
            while len(self._found) > _MOST_KEPT:
                self._found.popitem(last=False)

    def of(self, names: Iterable[str]) -> dict[str, BestResult]:
        with self._lock:
            found = {name: self._found[name][1] for name in names if name in self._found}
        return {name: best for name, best in found.items() if best is not None}


_kept: WeakKeyDictionary[Engine, _Kept] = WeakKeyDictionary()


def best_results(session: Session, specs: Mapping[str, ExperimentSpec]) -> dict[str, BestResult]:
    """By experiment, of those that have any result: the largest accuracy in its headline, of all that was evaluated."""
    has_ended = Evaluation.experiment_id.in_(specs), Evaluation.outcome.is_not(None)
    counts = select(Evaluation.experiment_id, func.count(), func.max(Evaluation.finished_at))
    ended = {
        name: (count, last)
        for name, count, last in session.execute(counts.where(*has_ended).group_by(Evaluation.experiment_id))
        if name is not None
    }
    engine = session.get_bind().engine
    kept = _kept.setdefault(engine, _Kept())
    missing = kept.missing(ended)
    found = _found(session, {name: specs[name] for name in missing}) if missing else {}
    for name in missing:
        kept.keep(name, ended[name], found.get(name))
    return kept.of(ended)


def _found(session: Session, specs: Mapping[str, ExperimentSpec]) -> dict[str, BestResult]:
    """Only the small parts of the outcomes are read: one with confusions has ten times as many bytes."""
    outcome = Evaluation.outcome
    rows = session.execute(
        select(
            Evaluation.experiment_id,
            Evaluation.checkpoint_id,
            Run.objective,
            Run.seed,
            outcome["worst_cases"].label("worst_cases"),
            outcome["masking"]["verdict"].label("masking"),
        )
        .join(Run, Run.id == Evaluation.run_id)
        .where(Evaluation.experiment_id.in_(specs), outcome.is_not(None))
        .order_by(Evaluation.id)
    )
    wanted = {
        identifier: headline(columns(spec.evaluation), spec.adversary.norm, spec.adversary.eps)
        for identifier, spec in specs.items()
    }
    attacks = {identifier: set(column.attacks) for identifier, column in wanted.items()}
    best: dict[str, tuple[float, Any, Mapping[str, Any]]] = {}
    for row in rows:
        worst = _of_column(row.worst_cases, attacks[row.experiment_id])
        if worst is not None and worst["accuracy"]["value"] > best.get(row.experiment_id, (-1.0,))[0]:
            best[row.experiment_id] = worst["accuracy"]["value"], row, worst
    return {
        identifier: BestResult(
            objective=row.objective,
            seed=row.seed,
            checkpoint=row.checkpoint_id,
            attack=wanted[identifier].name,
            robust=WorstCase.model_validate(worst).accuracy,
            suspect=row.masking == "SUSPECT",
        )
        for identifier, (_, row, worst) in best.items()
    }


def _of_column(worst_cases: Sequence[Mapping[str, Any]], attacks: set[str]) -> Mapping[str, Any] | None:
    """The worst case of exactly these attacks: one attack is its own. To validate all would take as long again."""
    return next((worst for worst in worst_cases if set(worst["attacks"]) == attacks), None)
