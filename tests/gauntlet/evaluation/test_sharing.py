"""How the batches of one evaluation fall to several hands: all of it in about as much less time.

Time is counted in model passes, by the costs of AutoAttack's parts: whoever is furthest behind computes next. Which
images a part breaks stands in the pictures, so nothing is attacked.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from gauntlet.attacks import autoattack
from gauntlet.data.datasets import ImageSet
from gauntlet.evaluation.colleagues import Alone, Colleagues
from gauntlet.evaluation.stages import Victim
from gauntlet.evaluation.sweep import Price, Segment, Sweep
from gauntlet.events import BatchAttacked
from gauntlet.spec.evaluations.attacks import AutoAttack
from gauntlet.spec.evaluations.evaluation import EvaluationSpec

IMAGES = 10_000
PARTS = autoattack.parts(AutoAttack(eps=Fraction(8, 255)))
# Of a hundred images so many stay right after each part.
LEFT = dict(zip(PARTS, (55, 52, 51, 50), strict=True))

Key = tuple[str, int]


@dataclass
class Table:
    """Where all hands see what is taken, and when each batch is done."""

    taken: set[Key] = field(default_factory=set)
    done: dict[Key, tuple[int, BatchAttacked]] = field(default_factory=dict)


@dataclass
class Hand:
    """One of those that compute; `clock` is up to when it has."""

    table: Table
    keeps_pictures: bool = True
    clock: int = 0
    told: set[Key] = field(default_factory=set)

    def look(self) -> Iterable[BatchAttacked]:
        news = {key: found for key, (at, found) in self.table.done.items() if at <= self.clock and key not in self.told}
        self.told |= news.keys()
        return list(news.values())

    def take(self, stage: str, numbers: Sequence[int], most: int) -> Collection[int]:
        free = [number for number in numbers if (stage, number) not in self.table.taken][:most]
        self.table.taken |= {(stage, number) for number in free}
        return free

    def wait(self) -> None:
        self.clock = min(at for at, _ in self.table.done.values() if at > self.clock)

    def finish(self, batch: BatchAttacked) -> None:
        key = batch.stage, batch.batch
        assert key not in self.table.done
        self.clock += PARTS[batch.stage] * len(batch.images)
        self.table.done[key] = self.clock, batch
        self.told.add(key)


@dataclass
class Elder(Hand):
    """A hand of another version, which has a name of its own for a stage."""

    def look(self) -> Iterable[BatchAttacked]:
        return [
            *super().look(),
            *(replace(found, stage="smoothing/0.0470588") for _, found in self.table.done.values()),
        ]


def swept(colleagues: Colleagues) -> Iterator[BatchAttacked]:
    """The batches that fall to one of them, of an ensemble whose parts are given what the one before left."""
    hundredths = (torch.arange(IMAGES) % 100).to(torch.uint8)
    images = ImageSet(hundredths[:, None, None, None], torch.zeros(IMAGES, dtype=torch.int64))
    sweep = Sweep(
        Victim(nn.Flatten(), 10, torch.device("cpu"), {}),
        (),
        images,
        EvaluationSpec(samples=IMAGES),
        prices={part: Price(cost) for part, cost in PARTS.items()},
        total=IMAGES * sum(PARTS.values()),
        done=(),
        known=(),
        watch=lambda _stage, _completed, _total: None,
        colleagues=colleagues,
    )

    def attack(segment: Tensor) -> Segment:
        left = segment
        for part in PARTS:
            robust = yield from sweep.run(part, left, lambda x, _: x, predict=partial(judged, part))
            left = left[robust]

    return sweep.through(attack)


def judged(part: str, pictures: Tensor) -> Tensor:
    """Of each hundred images, whose pixel says which it is, those from `LEFT` on are taken for another class."""
    hundredth = (pictures.flatten() * 255).round()
    return (hundredth >= LEFT[part]).long()


@pytest.mark.parametrize(("hands", "share"), [(2, 0.51), (4, 0.26), (16, 0.07)])
def test_hands_share_the_time(hands: int, share: float) -> None:
    """Ten thousand images take four of them 0.26 of one's time, and are the batches that one computes."""
    alone = {(batch.stage, batch.batch): batch for batch in swept(Alone())}
    table = Table()
    going = {id(hand): (hand, swept(hand)) for hand in (Hand(table) for _ in range(hands))}
    while going:
        hand, batches = min(going.values(), key=lambda each: each[0].clock)
        batch = next(batches, None)
        if batch is None:
            del going[id(hand)]
        else:
            hand.finish(batch)
    assert {key: found.images for key, (_, found) in table.done.items()} == {
        key: found.images for key, found in alone.items()
    }
    whole = sum(PARTS[batch.stage] * len(batch.images) for batch in alone.values())
    assert max(at for at, _ in table.done.values()) <= share * whole


def test_what_another_version_names_otherwise_is_no_help_and_does_no_harm() -> None:
    """While a service is brought up to date its workers may be of two versions, and share an evaluation."""
    hand = Elder(Table())
    found = []
    for batch in swept(hand):
        hand.finish(batch)
        found.append(batch)
    assert [(batch.stage, batch.batch) for batch in found] == [(b.stage, b.batch) for b in swept(Alone())]
    assert [batch.completed for batch in found] == [batch.completed for batch in swept(Alone())]
