"""Evaluations: a model attacked image by image, batch by batch, as a generator that can go on where it stopped.

The images are attacked in segments of at most `SEGMENT`, each through all attacks before the next. What becomes of an
image therefore depends on its segment alone, and the results of 1,000 images are a part of those of 10,000.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import torch
from torch import Tensor, nn

from gauntlet.attacks.gradient import without_gradient
from gauntlet.data.datasets import ImageSet, to_unit
from gauntlet.errors import AttackUnsupported, OutputNotFinite
from gauntlet.evaluation import stages
from gauntlet.evaluation.stages import Perturb, Stage, Victim, stages_of
from gauntlet.events import BatchAttacked
from gauntlet.models.precision import fp32_products
from gauntlet.results.masking import MASKING_PREFIX, masking_attacks
from gauntlet.results.stage_results import NATURAL
from gauntlet.spec.attacks import AnyAttack, attack_label, fewest_classes
from gauntlet.spec.evaluation import EvaluationSpec

SEGMENT = 1_000
_NATURAL_COST = 3


def evaluate(
    model: nn.Module,
    test: ImageSet,
    spec: EvaluationSpec,
    classes: int,
    *,
    device: torch.device,
    done: Iterable[BatchAttacked] = (),
    known: Iterable[BatchAttacked] = (),
    sources: Mapping[str, nn.Module] = MappingProxyType({}),
) -> Iterator[BatchAttacked]:
    """Attack the first `spec.samples` test images, segment by segment, attack by attack, batch by batch.

    The natural pass comes first. An attack by itself is tried on every image; an ensemble, as its definition says, only
    on those still classified correctly, and an image that one part breaks is not given to the next. The checks for
    masked gradients come last, on the first `spec.masking.samples` images.

    Args:
        model: maps float32 [n, c, h, w] in [0, 1] to logits [n, classes]; put in eval mode.
        done: batches that an earlier attempt finished, in any order; they are taken as they are and not yielded again.
        known: batches of other evaluations of these weights on this test set from the same seed; where one has just the
            images of a batch of this evaluation, it is yielded as its result.
        sources: the models, in eval mode, that transfer attacks make their examples on, by checkpoint.

    Raises:
        AttackUnsupported: an attack is not defined for so few classes.
        OutputNotFinite: the model's output is infinite or NaN on some image.
    """
    checks = masking_attacks(spec)
    require_supported([*spec.attacks, *checks], classes)
    model.eval()
    victim = Victim(model, classes, device, sources)
    plans = [stages_of(attack, victim, spec.seed) for attack in spec.attacks]
    checked = [stages_of(attack, victim, spec.seed) for attack in checks]
    checked_images = spec.masking.samples if spec.masking else 0
    images = test.take(spec.samples).to(device)
    sweep = _Sweep(model, images, spec, done, known)
    for start in range(0, len(images), SEGMENT):
        segment = torch.arange(start, min(start + SEGMENT, len(images)))
        right = yield from sweep.run(NATURAL, segment, lambda x, _: x, cost=_NATURAL_COST)
        for plan in plans:
            yield from _attack_segment(sweep, plan, segment, segment[right])
        for (stage,) in checked:
            sample = segment[segment < checked_images]
            yield from sweep.run(f"{MASKING_PREFIX}{stage.name}", sample, stage.perturb, cost=stage.cost)


def require_supported(attacks_: Iterable[AnyAttack], classes: int) -> None:
    """Check that the attacks are defined for a model of so many classes, before anything is trained for them.

    Raises:
        AttackUnsupported: one is not.
    """
    for attack in attacks_:
        if classes < fewest_classes(attack):
            raise AttackUnsupported(
                f"{attack_label(attack)} needs at least {fewest_classes(attack)} classes; this model has {classes}."
            )


def nominal_cost(attacks: Iterable[AnyAttack]) -> int:
    """Model passes per image of a natural pass and these attacks, at most; for progress and estimates."""
    return _NATURAL_COST + sum(map(stages.nominal_cost, attacks))


def _attack_segment(
    sweep: "_Sweep", plan: Sequence[Stage], segment: Tensor, right: Tensor
) -> Generator[BatchAttacked, None, None]:
    """Run one attack's stages: a single one on every image, several on what is still right."""
    if len(plan) == 1:
        yield from sweep.run(plan[0].name, segment, plan[0].perturb, cost=plan[0].cost)
        return
    left = right
    for stage in plan:
        sweep.skip(len(segment) - len(left), cost=stage.cost)
        robust = yield from sweep.run(stage.name, left, stage.perturb, cost=stage.cost)
        left = left[robust]


class _Sweep:
    """Runs stages over the images of an evaluation, skipping the batches that are done and counting the cost."""

    def __init__(
        self,
        model: nn.Module,
        images: ImageSet,
        spec: EvaluationSpec,
        done: Iterable[BatchAttacked],
        known: Iterable[BatchAttacked],
    ) -> None:
        self._model = model
        self._images = images
        self._batch_size = spec.batch_size
        self._batches_in_a_segment = -(-SEGMENT // spec.batch_size)
        self._done, self._known = ({(batch.stage, batch.images): batch for batch in some} for some in (done, known))
        self._total = len(images) * nominal_cost(spec.attacks)
        if spec.masking is not None:
            self._total += min(len(images), spec.masking.samples) * sum(map(stages.nominal_cost, masking_attacks(spec)))
        self._completed = 0

    def skip(self, images: int, *, cost: int) -> None:
        """Count images that a stage had not to attack."""
        self._completed += cost * images

    def run(
        self, stage: str, positions: Tensor, perturb: Perturb, *, cost: int
    ) -> Generator[BatchAttacked, None, Tensor]:
        """Attack the images at `positions` (int64 [m], of one segment) and return which stay right, bool [m]."""
        robust: list[bool] = []
        for number, batch in enumerate(positions.split(self._batch_size) if len(positions) else ()):
            self._completed += cost * len(batch)
            key = stage, tuple(batch.tolist())
            finished = self._done.get(key)
            if finished is None:
                found = self._known.get(key) or self._attack(stage, batch, perturb)
                first = int(batch[0]) // SEGMENT * self._batches_in_a_segment
                finished = replace(found, batch=first + number, completed=self._completed, total=self._total)
                yield finished
            robust += finished.robust
        return torch.tensor(robust, dtype=torch.bool)

    def _attack(self, stage: str, positions: Tensor, perturb: Perturb) -> BatchAttacked:
        inputs = to_unit(self._images.images[positions])
        labels = self._images.labels[positions]
        with fp32_products("fp32"):
            attacked = perturb(inputs, labels)
            with torch.no_grad():
                logits: Tensor = self._model(attacked)
            if not bool(logits.isfinite().all()):
                raise OutputNotFinite(stage)
            stuck = tuple(without_gradient(self._model, inputs, labels).tolist()) if stage == NATURAL else None
        return BatchAttacked(
            stage=stage,
            batch=0,
            images=tuple(positions.tolist()),
            labels=tuple(labels.tolist()),
            predicted=tuple(logits.argmax(dim=1).tolist()),
            zero_gradient=stuck,
            completed=0,
            total=0,
        )
