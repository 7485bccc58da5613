"""Which evaluations stand where on the leaderboard: kept by each process, so that it is not made of all there are.

An outcome never changes, so what was read of an evaluation is kept until it is deleted or too old, and each protocol's
list stays sorted: another evaluation costs its own reading, and a look at the first places theirs.
"""

import json
import threading
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, Row, func, select
from sqlalchemy.orm import Session

from gauntlet.report.compared.leaderboard import MOST_GROUPS, title_of
from gauntlet.results.protocol import Protocol
from store.models import Evaluation

# Older ones are not looked at. Bounds what the first request of a process reads, and what is kept of it.
MOST_EVALUATIONS = 5_000
_AT_ONCE = 500
_HAS_ENDED = Evaluation.status == "succeeded"

# As the leaderboard sorts: what is more robust, then what is more accurate, then by checkpoint. Last the evaluation.
_Place = tuple[float, float, str, str]


@dataclass(frozen=True)
class Shown:
    """What a leaderboard is made of: evaluations to read, and how many checkpoints each of its protocols has."""

    evaluations: frozenset[str]
    counts: Mapping[str, int]


@dataclass
class _List:
    """Everything measured by one protocol. Of several evaluations of the same weights the newest has a place."""

    protocol: Protocol
    places: list[_Place] = field(default_factory=list)
    of_weights: dict[str, dict[str, _Place]] = field(default_factory=dict)

    def add(self, weights: str, place: _Place) -> None:
        alike = self.of_weights.setdefault(weights, {})
        self._take_out(alike)
        alike[place[-1]] = place
        self._put_in(alike)

    def remove(self, weights: str, evaluation: str) -> None:
        alike = self.of_weights[weights]
        self._take_out(alike)
        del alike[evaluation]
        self._put_in(alike)
        if not alike:
            del self.of_weights[weights]

    def _put_in(self, alike: Mapping[str, _Place]) -> None:
        if alike:
            insort(self.places, alike[max(alike)])

    def _take_out(self, alike: Mapping[str, _Place]) -> None:
        if alike:
            del self.places[bisect_left(self.places, alike[max(alike)])]


@dataclass(frozen=True)
class _Known:
    """What is kept of an evaluation: whose weights it measured, and by which protocols."""

    weights: str
    protocols: tuple[str, ...]


class _Placings:
    """Where all evaluations of one database stand, as of what was read last."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._seen: tuple[int, float | None] = (0, None)
        self._known: dict[str, _Known] = {}
        self._lists: dict[str, _List] = {}
        self._of_weights: dict[str, set[str]] = {}

    def follow(self, session: Session) -> None:
        """Become what the session sees: read what has ended since, forget what is gone or too old."""
        count, last = session.execute(select(func.count(), func.max(Evaluation.finished_at)).where(_HAS_ENDED)).one()
        if (count, last) == self._seen:
            return
        before, since = self._seen
        news = self._unknown(session, since) if since is not None else []
        if before + len(news) != count:
            # Something was deleted, or came to be seen later than what had ended after it.
            newest = select(Evaluation.id).where(_HAS_ENDED).order_by(Evaluation.id.desc()).limit(MOST_EVALUATIONS)
            there = set(session.scalars(newest))
            for identifier in self._known.keys() - there:
                self._forget(identifier)
            news = sorted(there - self._known.keys())
        for start in range(0, len(news), _AT_ONCE):
            for row in _outcomes(session, news[start : start + _AT_ONCE]):
                self._learn(row)
        for identifier in sorted(self._known)[:-MOST_EVALUATIONS]:
            self._forget(identifier)
        self._seen = count, last

    def shown(self, attack: str | None, dataset: str | None, limit: int) -> Shown:
        """The first places of the longest lists, and whatever else measured the same weights."""
        wanted = [each for each in self._lists.values() if _is_of(each.protocol, attack, dataset)]
        longest = sorted(wanted, key=lambda each: (-len(each.places), title_of(each.protocol)))[:MOST_GROUPS]
        first = {place[-1] for each in longest for place in islice(each.places, limit)}
        weights = {self._known[identifier].weights for identifier in first}
        return Shown(
            frozenset(identifier for each in weights for identifier in self._of_weights[each]),
            {each.protocol.id: len(each.places) for each in longest},
        )

    def _unknown(self, session: Session, since: float) -> list[str]:
        ended = select(Evaluation.id).where(_HAS_ENDED, Evaluation.finished_at >= since)
        return [identifier for identifier in session.scalars(ended) if identifier not in self._known]

    def _learn(self, row: Row[Any]) -> None:
        protocols = []
        for found in row.attacks:
            protocol = _protocol(json.dumps(found["protocol"]))
            of = self._lists.setdefault(protocol.id, _List(protocol))
            of.add(row.weights, (-found["accuracy"]["value"], -row.natural, row.checkpoint_id, row.id))
            protocols.append(protocol.id)
        self._known[row.id] = _Known(row.weights, tuple(dict.fromkeys(protocols)))
        self._of_weights.setdefault(row.weights, set()).add(row.id)

    def _forget(self, identifier: str) -> None:
        known = self._known.pop(identifier)
        for protocol in known.protocols:
            of = self._lists[protocol]
            of.remove(known.weights, identifier)
            if not of.places:
                del self._lists[protocol]
        self._of_weights[known.weights].discard(identifier)
        if not self._of_weights[known.weights]:
            del self._of_weights[known.weights]


_kept: WeakKeyDictionary[Engine, _Placings] = WeakKeyDictionary()


def shown(session: Session, *, attack: str | None, dataset: str | None, limit: int) -> Shown:
    """What the leaderboard shows of what the session sees; of one kind of attack or one data set if it is named."""
    placings = _kept.setdefault(session.get_bind().engine, _Placings())
    with placings.lock:
        placings.follow(session)
        return placings.shown(attack, dataset, limit)


def _outcomes(session: Session, identifiers: Sequence[str]) -> Iterator[Row[Any]]:
    outcome = Evaluation.outcome
    yield from session.execute(
        select(
            Evaluation.id,
            Evaluation.checkpoint_id,
            outcome["weights_sha256"].as_string().label("weights"),
            outcome["natural"]["value"].as_float().label("natural"),
            outcome["attacks"].label("attacks"),
        ).where(Evaluation.id.in_(identifiers), outcome.is_not(None))
    )


@lru_cache(maxsize=1_000)
def _protocol(text: str) -> Protocol:
    """Few are written thousands of times, and to check one takes longer than all else that is read of an outcome."""
    return Protocol.model_validate_json(text)


def _is_of(protocol: Protocol, attack: str | None, dataset: str | None) -> bool:
    kind = None if protocol.attack is None else protocol.attack.kind
    return attack in (None, kind) and dataset in (None, protocol.dataset)
