"""Evaluations: a model looked at, then attacked image by image, batch by batch, as a generator that can go on.

The images are attacked in segments of at most `SEGMENT`, each through all attacks before the next. What becomes of an
image therefore depends on its segment alone, and the results of 1,000 images are a part of those of 10,000.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import MappingProxyType

import torch
from torch import Tensor

from gauntlet import seeding
from gauntlet.attacks.expectation import drawn
from gauntlet.attacks.gradient import without_gradient
from gauntlet.checks.faults import refuse
from gauntlet.checks.requests import attack_faults
from gauntlet.data.datasets import ImageSet, to_unit
from gauntlet.data.own_images import refuse_labels_beyond
from gauntlet.errors import AttackUnsupported, ImagesInvalid, ModelUnfit, OutputNotFinite
from gauntlet.evaluation import stages
from gauntlet.evaluation.borrowing import borrowed
from gauntlet.evaluation.certificates import Certificates, Predict, certifying_cost
from gauntlet.evaluation.preflight import Examination, concerning, examine
from gauntlet.evaluation.stages import Perturb, Stage, Victim, stages_of
from gauntlet.events import BatchAttacked
from gauntlet.models.precision import Model, fp32_products
from gauntlet.results.corruptions import CORRUPTION_PREFIX
from gauntlet.results.finding import Finding
from gauntlet.results.masking import MASKING_PREFIX, masking_attacks
from gauntlet.results.smoothing import SMOOTHING_PREFIX
from gauntlet.results.stage_results import NATURAL
from gauntlet.spec.attacks import AnyAttack
from gauntlet.spec.evaluation import EvaluationSpec, other_models
from gauntlet.spec.smoothing import SmoothingSpec

# Told which stage is about to be computed, and how many model passes of how many are behind it.
Watch = Callable[[str, int, int], None]

SEGMENT = 1_000
# What these stages find are no attacks of the evaluation, and no pictures of them are kept.
_NO_ATTACKS = (MASKING_PREFIX, CORRUPTION_PREFIX, SMOOTHING_PREFIX)
_NATURAL_COST = 3
# Images for the first look at a model: enough to tell a tenth from chance, and no more than fits the memory.
_TRIED, _TRIED_PIXELS = 64, 16 * 128 * 128


class Evaluation(Iterator[BatchAttacked]):
    """An evaluation's batches, each attacked as it is asked for; `findings` are there from the start."""

    def __init__(self, findings: tuple[Finding, ...], batches: Generator[BatchAttacked, None, None]) -> None:
        self.findings = findings
        self._batches = batches

    def __next__(self) -> BatchAttacked:
        return next(self._batches)

    def close(self) -> None:
        """Attack nothing more."""
        self._batches.close()


def evaluate(
    model: Model,
    test: ImageSet,
    spec: EvaluationSpec,
    classes: int,
    *,
    device: torch.device | str,
    done: Iterable[BatchAttacked] = (),
    known: Iterable[BatchAttacked] = (),
    sources: Mapping[str, Model] = MappingProxyType({}),
    watch: Watch = lambda _stage, _completed, _total: None,
) -> Evaluation:
    """Attack the first `spec.samples` test images, segment by segment, attack by attack, batch by batch.

    At once the model is tried on the first test images, however many are to be attacked
    (`gauntlet.evaluation.preflight`); what looks wrong with it is in `findings`, of the evaluation and of each batch.

    The natural pass comes first. An attack by itself is tried on every image; an ensemble, as its definition says, only
    on those still classified correctly, and an image that one part breaks is not given to the next. The checks for
    masked gradients come after, on the first `spec.masking.samples` images, then corruptions, and certificates last.

    Args:
        model: a module or a function that maps float32 [n, c, h, w] in [0, 1] to logits [n, classes]. A module is tried
            and attacked in eval mode, with frozen parameters, in fp32; between two batches, and after an error, it and
            the caller's gradient mode are as they were.
        done: batches that an earlier attempt finished, in any order; they are taken as they are and not yielded again.
        known: batches of other evaluations of these weights on this test set from the same seed; where one has just the
            images of a batch of this evaluation, it is yielded as its result.
        sources: the models that transfer attacks make their examples on, by checkpoint; treated likewise.
        watch: told before each batch is computed; may raise to end the evaluation.

    Raises:
        AttackUnsupported: an attack is not defined for so few classes, or a source is missing.
        ImagesInvalid: there is no image, or a label beyond the classes.
        ModelUnfit: the model or a source fails on images, or answers with something else than logits.
        OutputNotFinite: the model's output is infinite or NaN on some image.
    """
    refuse(list(attack_faults([*spec.attacks, *masking_attacks(spec)], classes, "/attacks")))
    _require_images(test, classes)
    _require_sources(spec, sources)
    device = torch.device(device)
    examined = _examined(model, test, classes, device)
    others = {name: _examined(source, test, classes, device).model for name, source in sources.items()}
    victim = Victim(examined.model, classes, device, others, examined.scale, examined.random)
    findings = concerning(spec.attacks, examined.findings)
    sweep = _Sweep(victim, findings, test.take(spec.samples).to(device), spec, done, known, watch)
    return Evaluation(findings, _batches(sweep, victim, spec))


def _batches(sweep: "_Sweep", victim: Victim, spec: EvaluationSpec) -> Generator[BatchAttacked, None, None]:
    plans = [stages_of(attack, victim, spec.seed) for attack in spec.attacks]
    checked = [stages_of(attack, victim, spec.seed) for attack in masking_attacks(spec)]
    checked_images = spec.masking.samples if spec.masking else 0
    corruptions = stages.corruption_stages(spec, sweep.test)
    for start in range(0, sweep.images, SEGMENT):
        segment = torch.arange(start, min(start + SEGMENT, sweep.images))
        right = yield from sweep.run(NATURAL, segment, lambda x, _: x, cost=_NATURAL_COST)
        for plan in plans:
            yield from _attack_segment(sweep, plan, segment, segment[right])
        for (stage,) in checked:
            sample = segment[segment < checked_images]
            yield from sweep.run(f"{MASKING_PREFIX}{stage.name}", sample, stage.perturb, cost=stage.cost)
        for stage in corruptions:
            yield from sweep.run(stage.name, segment, stage.perturb, cost=stage.cost)
        if spec.smoothing is not None:
            yield from _certify(sweep, victim, spec.smoothing, segment[segment < spec.smoothing.samples], spec.seed)


def _certify(
    sweep: "_Sweep", victim: Victim, smoothing: SmoothingSpec, sample: Tensor, seed: int
) -> Generator[BatchAttacked, None, None]:
    """Batch by batch, so that what was certified is read off at every radius before the next is: draws are dear."""
    certificates = Certificates(victim, smoothing, seed)
    for number, batch in enumerate(sample.split(sweep.batch_size) if len(sample) else ()):
        for stage in certificates.stages():
            yield from sweep.run(
                stage.name, batch, lambda x, _: x, cost=stage.cost, predict=stage.predict, numbered_from=number
            )


def _require_images(test: ImageSet, classes: int) -> None:
    if not isinstance(test, ImageSet):
        raise ImagesInvalid(
            f"An evaluation needs an ImageSet, and this is a {type(test).__name__}: ImageSet.of(images, labels) makes "
            "one of tensors or arrays."
        )
    if not len(test):
        raise ImagesInvalid("There is no image to evaluate the model on.")
    refuse_labels_beyond(test.labels, classes)


def _require_sources(spec: EvaluationSpec, sources: Mapping[str, Model]) -> None:
    missing = [source for source in other_models(spec) if source not in sources]
    if missing:
        raise AttackUnsupported(
            f"Examples are to be made on {', '.join(missing)}: the model of each must be among the sources given."
        )


def _examined(model: Model, test: ImageSet, classes: int, device: torch.device) -> Examination:
    count = max(1, min(len(test), _TRIED, _TRIED_PIXELS // test.images[0, 0].numel()))
    # Nothing that is made in inference mode can have a gradient later.
    with torch.inference_mode(mode=False), fp32_products("fp32"):
        few = test.at(torch.arange(count, device=test.images.device)).to(device)
        found = examine(model, to_unit(few.images), few.labels, classes)
    for finding in found.findings:
        if finding.kind == "non_finite_output":
            raise OutputNotFinite(NATURAL)
        if finding.severity == "error":
            raise ModelUnfit(finding.message)
    return found


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
        victim: Victim,
        findings: tuple[Finding, ...],
        images: ImageSet,
        spec: EvaluationSpec,
        done: Iterable[BatchAttacked],
        known: Iterable[BatchAttacked],
        watch: Watch,
    ) -> None:
        self._watch = watch
        self._victim = victim
        self._findings = findings
        self.test = images
        self.batch_size, self._seed = spec.batch_size, spec.seed
        self._kept = spec.keep_images
        self._batches_in_a_segment = -(-SEGMENT // spec.batch_size)
        self._done, self._known = ({(batch.stage, batch.images): batch for batch in some} for some in (done, known))
        self._total = len(images) * nominal_cost(spec.attacks)
        if spec.masking is not None:
            self._total += min(len(images), spec.masking.samples) * sum(map(stages.nominal_cost, masking_attacks(spec)))
        self._total += len(images) * sum(stage.cost for stage in stages.corruption_stages(spec, images))
        if spec.smoothing is not None:
            self._total += min(len(images), spec.smoothing.samples) * certifying_cost(spec.smoothing)
        self._completed = 0

    @property
    def images(self) -> int:
        """How many there are."""
        return len(self.test)

    def skip(self, images: int, *, cost: int) -> None:
        """Count images that a stage had not to attack."""
        self._completed += cost * images

    def run(
        self,
        stage: str,
        positions: Tensor,
        perturb: Perturb,
        *,
        cost: int,
        predict: Predict | None = None,
        numbered_from: int = 0,
    ) -> Generator[BatchAttacked, None, Tensor]:
        """Attack the images at `positions` (int64 [m], of one segment) and return which stay right, bool [m].

        `predict` says what they are taken for then, in the place of the model itself. The first batch has the number
        `numbered_from` within its segment.
        """
        robust: list[bool] = []
        batches = positions.split(self.batch_size) if len(positions) else ()
        for number, batch in enumerate(batches, numbered_from):
            self._completed += cost * len(batch)
            key = stage, tuple(batch.tolist())
            finished = self._done.get(key)
            if finished is None:
                kept = self._kept_of(stage, key[1])
                # What others measured comes without pictures.
                found = None if kept else self._known.get(key)
                if found is None:
                    self._watch(stage, self._completed - cost * len(batch), self._total)
                    found = self._attack(stage, batch, perturb, predict, kept)
                first = int(batch[0]) // SEGMENT * self._batches_in_a_segment
                finished = replace(
                    found,
                    batch=first + number,
                    completed=self._completed,
                    total=self._total,
                    findings=self._findings,
                )
                yield finished
            robust += finished.robust
        return torch.tensor(robust, dtype=torch.bool)

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
                stuck = tuple(without_gradient(model, inputs, labels).tolist()) if stage == NATURAL else None
                predicted = None if predict is None else predict(attacked)
            if predicted is None:
                predicted = self._judged(attacked, positions, stage)
        return BatchAttacked(
            stage=stage,
            batch=0,
            images=tuple(positions.tolist()),
            labels=tuple(labels.tolist()),
            predicted=tuple(predicted.tolist()),
            zero_gradient=stuck,
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
