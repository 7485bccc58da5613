"""The leaderboard: like ranked with like. Only accuracies of one protocol stand in one list. No torch."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from gauntlet.report.compared.published import ANCHORS, Published
from gauntlet.report.numbers import counted
from gauntlet.resources import Resource
from gauntlet.results.accuracy import Accuracy
from gauntlet.results.doubts import Doubt
from gauntlet.results.masking import MaskingResult
from gauntlet.results.outcome import AttackOutcome
from gauntlet.results.protocol import Protocol
from gauntlet.spec.eps import format_eps
from gauntlet.spec.evaluations.attack_titles import attack_name
from gauntlet.spec.evaluations.attacks import AnyAttack, AutoAttack

MOST_GROUPS = 100
# Our name of a data set → the one that its numbers are published under.
_PUBLISHED_AS = {"cifar10": "CIFAR-10"}


class LeaderboardEntry(Resource):
    """One checkpoint's place. Equal robust accuracies share a rank.

    `masking` is what the evaluations of these weights say of masked gradients, None where none looked: a robust
    accuracy that rests on them is no more than a failure of the attack. `doubts` are all reasons not to take the
    numbers at their word, whichever evaluation of these weights found them.
    """

    rank: int
    checkpoint: str
    name: str
    natural: Accuracy
    robust: Accuracy
    fingerprint: str
    evaluation: str
    masking: MaskingResult | None
    doubts: tuple[Doubt, ...] = ()


class PublishedReference(Resource):
    """A published number as a landmark. It was measured by others, on other images or code, and has no rank."""

    ranked: Literal[False] = False
    name: str
    natural: float | None
    robust: float
    source: str


class LeaderboardGroup(Resource):
    """All checkpoints measured by one protocol, the most robust first; `count` says how many there are in all."""

    protocol: Protocol
    title: str
    count: int
    entries: tuple[LeaderboardEntry, ...]
    references: tuple[PublishedReference, ...]


class Leaderboard(Resource):
    """One list per protocol, the longest first."""

    object: Literal["leaderboard"] = "leaderboard"
    groups: tuple[LeaderboardGroup, ...]


@dataclass(frozen=True)
class Candidate:
    """One evaluation of one checkpoint: the outcomes that may be ranked, and what it found against the weights."""

    evaluation: str
    checkpoint: str
    name: str
    weights_sha256: str
    natural: Accuracy
    masking: MaskingResult | None
    doubts: tuple[Doubt, ...]
    outcomes: tuple[AttackOutcome, ...]


@dataclass(frozen=True)
class _Place:
    candidate: Candidate
    outcome: AttackOutcome


def rank(candidates: Sequence[Candidate], limit: int, counts: Mapping[str, int] | None = None) -> Leaderboard:
    """Put the candidates into lists of at most `limit`; of several with the same weights the first one counts.

    What any of them found against the weights stands beside it all the same. At most 100 lists are shown, those with
    the most checkpoints. Where not all are here that were measured, `counts` says of each protocol to be shown how many
    checkpoints it has.
    """
    groups: dict[str, dict[str, _Place]] = {}
    against: dict[str, list[Candidate]] = {}
    for candidate in candidates:
        against.setdefault(candidate.weights_sha256, []).append(candidate)
        for outcome in candidate.outcomes:
            group = groups.setdefault(outcome.protocol.id, {})
            group.setdefault(candidate.weights_sha256, _Place(candidate, outcome))
    if counts is None:
        counts = {protocol: len(group) for protocol, group in groups.items()}
    shown = [_group(list(groups[protocol].values()), against, limit, count) for protocol, count in counts.items()]
    longest_first = sorted(shown, key=lambda group: (-group.count, group.title))
    return Leaderboard(groups=tuple(longest_first[:MOST_GROUPS]))


def title_of(protocol: Protocol) -> str:
    """What a list is called."""
    assert protocol.attack is not None  # only accuracies under attack are ranked
    return f"{protocol.dataset}, {attack_name(protocol.attack)}, {counted(protocol.n, 'image')}"


def _group(
    places: Sequence[_Place], against: Mapping[str, Sequence[Candidate]], limit: int, count: int
) -> LeaderboardGroup:
    def order(place: _Place) -> tuple[float, float, str]:
        return -place.outcome.accuracy.value, -place.candidate.natural.value, place.candidate.checkpoint

    entries: list[LeaderboardEntry] = []
    for number, place in enumerate(sorted(places, key=order)[:limit], 1):
        candidate, robust = place.candidate, place.outcome.accuracy
        known = against[candidate.weights_sha256]
        entries.append(
            LeaderboardEntry(
                rank=entries[-1].rank if entries and entries[-1].robust.value == robust.value else number,
                checkpoint=candidate.checkpoint,
                name=candidate.name,
                natural=candidate.natural,
                robust=robust,
                fingerprint=place.outcome.fingerprint,
                evaluation=candidate.evaluation,
                masking=_masking(known),
                doubts=tuple({doubt.kind: doubt for each in reversed(known) for doubt in each.doubts}.values()),
            )
        )
    protocol, attack = places[0].outcome.protocol, places[0].outcome.attack
    return LeaderboardGroup(
        protocol=protocol,
        title=title_of(protocol),
        count=count,
        entries=tuple(entries),
        references=_references(protocol.dataset, attack),
    )


def _masking(known: Iterable[Candidate]) -> MaskingResult | None:
    verdicts = {candidate.masking for candidate in known}
    return "SUSPECT" if "SUSPECT" in verdicts else "PASS" if "PASS" in verdicts else None


def _references(dataset: str, attack: AnyAttack) -> tuple[PublishedReference, ...]:
    match attack:
        case AutoAttack(version="standard", norm=norm, eps=eps):
            threat = _PUBLISHED_AS.get(dataset), norm, format_eps(eps), attack.kind
            return tuple(reversed([reference for anchor in ANCHORS for reference in _published(anchor, threat)]))
        case _:
            return ()


def _published(anchor: Published, threat: tuple[str | None, str, str, str]) -> Iterator[PublishedReference]:
    if anchor.robust is not None and (anchor.dataset, anchor.norm, anchor.eps, anchor.attack) == threat:
        yield PublishedReference(name=anchor.name, natural=anchor.natural, robust=anchor.robust, source=anchor.source)
