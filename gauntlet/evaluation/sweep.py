"""Stages over the images of an evaluation, batch by batch: what is done is not done again, and the cost is counted."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

import torch
from torch import Tensor

from gauntlet import seeding
from gauntlet.attacks.expectation import drawn
from gauntlet.data.datasets import ImageSet, to_unit
from gauntlet.errors import OutputNotFinite
from gauntlet.evaluation.borrowing import borrowed
from gauntlet.evaluation.certificates import Predict
from gauntlet.evaluation.colleagues import Colleagues
from gauntlet.evaluation.forecast import Forecast
from gauntlet.evaluation.margins import looked_at
from gauntlet.evaluation.stages import Perturb, Victim
from gauntlet.events import BatchAttacked
from gauntlet.models.precision import fp32_products
from gauntlet.results.corruptions import CORRUPTION_PREFIX
from gauntlet.results.finding import Finding
from gauntlet.results.masking import MASKING_PREFIX
from gauntlet.results.smoothing import SMOOTHING_PREFIX
from gauntlet.results.stage_results import NATURAL
from gauntlet.spec.evaluations.evaluation import EvaluationSpec

# Told which stage is about to be computed, or waited for, and how many model passes of how many are behind it.
Watch = Callable[[str, int, int], None]

SEGMENT: Final = 1_000
# What these stages find are no attacks of the evaluation, and no pictures of them are kept.
_NO_ATTACKS = (MASKING_PREFIX, CORRUPTION_PREFIX, SMOOTHING_PREFIX)
# Batches that take less are taken together: to ask what others have costs a few milliseconds. About a second of a small
# network on one core.
_PASSES_AT_ONCE: Final = 10_000
# How many segments are gone through at once, where others compute what is next in each of them.
_OPEN: Final = 8


@dataclass(frozen=True)
class Price:
    """What a stage costs per image in model passes, and what an image spares that is wrong after it."""

    cost: int
    spares: int = 0

    def passes(self, batch: BatchAttacked) -> int:
        """How many model passes a batch of the stage takes."""
        return self.cost * len(batch.images)

    def progress(self, batch: BatchAttacked) -> int:
        """How many it brings behind us, with those that its wrong images spare."""
        return self.passes(batch) + self.spares * (len(batch.images) - sum(batch.robust))


# Yields batches, and None when all that is next is being computed by others; returns which images stay right.
Part = Generator[BatchAttacked | None, None, Tensor]
Segment = Generator[BatchAttacked | None, None, None]


class Sweep:
    """Runs stages over the images of an evaluation, skipping the batches that are done and counting the cost."""

    def __init__(
        self,
        victim: Victim,
        findings: tuple[Finding, ...],
        images: ImageSet,
        spec: EvaluationSpec,
        *,
        prices: Mapping[str, Price],
        total: int,
        done: Iterable[BatchAttacked],
        known: Iterable[BatchAttacked],
        watch: Watch,
        colleagues: Colleagues,
    ) -> None:
        self._watch = watch
        self._victim = victim
        self._findings = findings
        self.test = images
        self.batch_size, self._seed = spec.batch_size, spec.seed
        self._kept = spec.keep_images
        self._batches_in_a_segment = -(-SEGMENT // spec.batch_size)
        self._prices = prices
        self._colleagues = colleagues
        self._done: dict[tuple[str, tuple[int, ...]], BatchAttacked] = {}
        self._known = {(batch.stage, batch.images): batch for batch in known}
        self._stage, self._total, self._completed = NATURAL, total, 0
        sizes = [min(SEGMENT, len(images) - start) for start in range(0, len(images), SEGMENT)]
        price = sum(price.cost for stage, price in prices.items() if not stage.startswith(_NO_ATTACKS))
        self._forecast = Forecast(sizes, price)
        # What is done to images beside the attacks spares nothing.
        self._beside = total - len(images) * price
        # They cost nothing when their turn comes.
        for batch in self._known.values():
            self._foresee(batch)
        self._learn(*done)

    def through(self, attack: Callable[[Tensor], Segment]) -> Generator[BatchAttacked, None, None]:
        """Attack segment by segment: each to its end before the next, but for those in which others are at work.

        `attack` does all that is done to the images at some positions, int64 [m].
        """
        images = len(self.test)
        starts = range(0, images, SEGMENT)
        waiting = (attack(torch.arange(start, min(start + SEGMENT, images))) for start in starts)
        going = list[Segment]()
        while True:
            while len(going) < _OPEN and (further := next(waiting, None)) is not None:
                going.append(further)
            if not going:
                return
            moved = False
            for segment in tuple(going):
                for found in segment:
                    if found is None:
                        break
                    moved = True
                    yield found
                else:
                    moved = True
                    going.remove(segment)
            if not moved:
                self._watch(self._stage, self._completed, self._total)
                self._colleagues.wait()

    def run(
        self,
        stage: str,
        positions: Tensor,
        perturb: Perturb,
        *,
        predict: Predict | None = None,
        numbered_from: int = 0,
    ) -> Part:
        """Attack the images at `positions` (int64 [m], of one segment) and return which stay right, bool [m].

        `predict` says what they are taken for then, in the place of the model itself. The first batch has the number
        `numbered_from` within its segment.
        """
        batches = self._numbered(positions, numbered_from)
        keys = {number: (stage, tuple(batch.tolist())) for number, batch in batches.items()}
        while True:
            self._learn(*self._colleagues.look())
            left = [number for number, key in keys.items() if key not in self._done]
            if not left:
                break
            yield from self._run_some(left, keys, batches, perturb, predict)
        robust = [right for key in keys.values() for right in self._done[key].robust]
        return torch.tensor(robust, dtype=torch.bool)

    def _run_some(
        self,
        left: Sequence[int],
        keys: Mapping[int, tuple[str, tuple[int, ...]]],
        batches: Mapping[int, Tensor],
        perturb: Perturb,
        predict: Predict | None,
    ) -> Generator[BatchAttacked | None, None, None]:
        """Do what is to be done here of the batches that are left; yields None where that is nothing."""
        stage = self._stage = keys[left[0]][0]
        kept = {number: self._kept_of(*keys[number]) for number in left}
        ours = [number for number in left if self._colleagues.keeps_pictures or not kept[number]]
        most = max(1, _PASSES_AT_ONCE // max(1, self._prices[stage].cost * self.batch_size))
        taken = self._colleagues.take(stage, ours, most) if ours else ()
        for number in taken:
            # What others measured comes without pictures.
            found = None if kept[number] else self._known.get(keys[number])
            if found is None:
                self._watch(stage, self._completed, self._total)
                found = self._attack(stage, batches[number], perturb, predict, kept[number])
            self._learn(found)
            yield replace(found, batch=number, completed=self._completed, total=self._total, findings=self._findings)
        if not taken:
            yield None

    def _numbered(self, positions: Tensor, numbered_from: int) -> dict[int, Tensor]:
        """The batches of a stage in a segment by their numbers."""
        if not len(positions):
            return {}
        first = int(positions[0]) // SEGMENT * self._batches_in_a_segment + numbered_from
        return dict(enumerate(positions.split(self.batch_size), first))

    def _learn(self, *batches: BatchAttacked) -> None:
        """Note that batches are done, whoever did them; those of a stage that another version named are no help."""
        for batch in batches:
            price = self._prices.get(batch.stage)
            if price is None:
                continue
            self._done[batch.stage, batch.images] = batch
            self._completed += price.progress(batch)
            if (batch.stage, batch.images) not in self._known:
                self._foresee(batch)

    def _foresee(self, batch: BatchAttacked) -> None:
        """Take a batch for done, or as good as done, in what is expected of the rest."""
        price = self._prices.get(batch.stage)
        if price is None:
            return
        progress = price.progress(batch)
        if batch.stage.startswith(_NO_ATTACKS):
            self._beside -= progress
        else:
            self._forecast.note(batch.images[0] // SEGMENT, price.passes(batch), progress)

    def left(self) -> float:
        """Model passes that are expected to be left, where images fall as those did that are through all attacks."""
        return self._forecast.left() + self._beside

    def _kept_of(self, stage: str, positions: Sequence[int]) -> int:
        """Of how many of a batch's images, which ascend, the attacked pictures are kept."""
        if stage == NATURAL or stage.startswith(_NO_ATTACKS):
            return 0
        return sum(position < self._kept for position in positions)

    def _attack(
        self, stage: str, positions: Tensor, perturb: Perturb, predict: Predict | None, kept: int
    ) -> BatchAttacked:
        model = self._victim.model
        with borrowed(model, *self._victim.sources.values()), fp32_products("fp32"):
            inputs = to_unit(self.test.images[positions])
            labels = self.test.labels[positions]
            with self._repeatable(stage, positions):
                attacked = perturb(inputs, labels)
                seen = looked_at(model, inputs, labels) if stage == NATURAL else None
                predicted = None if predict is None else predict(attacked)
            if predicted is None:
                predicted = self._judged(attacked, positions, stage)
        return BatchAttacked(
            stage=stage,
            batch=0,
            images=tuple(positions.tolist()),
            labels=tuple(labels.tolist()),
            predicted=tuple(predicted.tolist()),
            zero_gradient=None if seen is None else tuple(seen[0].tolist()),
            margins=None if seen is None else seen[1],
            completed=0,
            total=0,
            attacked=attacked[:kept].detach().to("cpu", torch.float32, copy=True).contiguous() if kept else None,
        )

    @contextmanager
    def _repeatable(self, stage: str, positions: Tensor) -> Iterator[None]:
        """Inside, a model that draws random numbers draws the same for the same batch of a stage."""
        if not self._victim.random:
            yield
            return
        with seeding.own_randomness(self._victim.device) as seeded:
            seeded(seeding.derive(self._seed, stage, *positions.tolist()))
            yield

    def _judged(self, attacked: Tensor, positions: Tensor, stage: str) -> Tensor:
        """What the model takes images for, int64 [n]. A random one has the same draw for an image in every stage.

        It follows from the image's place in the test set alone: so what many attacks together leave right is no fewer
        by luck, and no draw is one that an attack has seen.
        """
        model = self._victim.model
        logits: Tensor
        if self._victim.random:
            seeds = [seeding.derive(0, "verdict", position) for position in positions.tolist()]
            logits = torch.cat(drawn(model, attacked, seeds))
        else:
            logits = model(attacked)
        if not bool(logits.isfinite().all()):
            raise OutputNotFinite(stage)
        return logits.argmax(dim=1)
