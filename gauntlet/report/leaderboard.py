"""The leaderboard: like ranked with like. Only accuracies of one protocol stand in one list. No torch."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from gauntlet.report.published import ANCHORS, Published
from gauntlet.resources import Resource
from gauntlet.results.outcome import Accuracy, AttackOutcome
from gauntlet.results.protocol import Protocol
from gauntlet.spec.attacks import AnyAttack, AutoAttack, attack_label
from gauntlet.spec.eps import format_eps

MaskingResult = Literal["PASS", "SUSPECT"]

# Our name of a data set → the one that its numbers are published under.
_PUBLISHED_AS = {"cifar10": "CIFAR-10"}


class LeaderboardEntry(Resource):
    """One checkpoint's place. Equal robust accuracies share a rank.

    `masking` is what the same evaluation says of masked gradients, None where it did not look: a robust accuracy that
    rests on them is no more than a failure of the attack.
    """

    rank: int
    checkpoint: str
    name: str
    natural: Accuracy
    robust: Accuracy
    fingerprint: str
    evaluation: str
    masking: MaskingResult | None


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


_MOST_GROUPS = 100


@dataclass(frozen=True)
class Candidate:
    """One attack's outcome on one checkpoint."""

    evaluation: str
    checkpoint: str
    name: str
    weights_sha256: str
    natural: Accuracy
    masking: MaskingResult | None
    outcome: AttackOutcome


def rank(candidates: Iterable[Candidate], limit: int) -> Leaderboard:
    """Put the candidates into lists of at most `limit`; of several with the same weights the first one counts.

    At most 100 lists are shown, those with the most checkpoints.
    """
    groups: dict[str, dict[str, Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.outcome.protocol.id, {}).setdefault(candidate.weights_sha256, candidate)
    shown = [_group(list(group.values()), limit) for group in groups.values()]
    longest_first = sorted(shown, key=lambda group: (-group.count, group.title))
    return Leaderboard(groups=tuple(longest_first[:_MOST_GROUPS]))


def _group(candidates: Sequence[Candidate], limit: int) -> LeaderboardGroup:
    by_accuracy = sorted(
        candidates, key=lambda each: (-each.outcome.accuracy.value, -each.natural.value, each.checkpoint)
    )
    entries: list[LeaderboardEntry] = []
    for place, candidate in enumerate(by_accuracy[:limit], 1):
        robust = candidate.outcome.accuracy
        shared = entries[-1].rank if entries and entries[-1].robust.value == robust.value else place
        entries.append(
            LeaderboardEntry(
                rank=shared,
                checkpoint=candidate.checkpoint,
                name=candidate.name,
                natural=candidate.natural,
                robust=robust,
                fingerprint=candidate.outcome.fingerprint,
                evaluation=candidate.evaluation,
                masking=candidate.masking,
            )
        )
    protocol = candidates[0].outcome.protocol
    attack = candidates[0].outcome.attack
    return LeaderboardGroup(
        protocol=protocol,
        title=f"{protocol.dataset}, {attack_label(attack)}, {protocol.n:,} images",
        count=len(candidates),
        entries=tuple(entries),
        references=_references(protocol.dataset, attack),
    )


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
