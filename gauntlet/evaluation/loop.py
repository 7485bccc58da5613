"""Evaluations: a model looked at, then attacked image by image, batch by batch, as a generator that can go on.

The images are attacked in segments of at most `sweep.SEGMENT`, each through all attacks before the next. What becomes
of an image therefore depends on its segment alone, and the results of 1,000 images are a part of those of 10,000.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

import torch
from torch import Tensor

from gauntlet.checks.faults import refuse
from gauntlet.checks.requests import attack_faults
from gauntlet.data.datasets import ImageSet, to_unit
from gauntlet.data.own_images import refuse_labels_beyond
from gauntlet.errors import AttackUnsupported, ImagesInvalid, ModelUnfit, OutputNotFinite
from gauntlet.evaluation import stages
from gauntlet.evaluation.certificates import Certificates, certifying_cost
from gauntlet.evaluation.colleagues import Alone, Colleagues
from gauntlet.evaluation.preflight import Examination, concerning, concerning_source, examine
from gauntlet.evaluation.stages import Stage, Victim, stages_of
from gauntlet.evaluation.sweep import Price, Segment, Sweep, Watch
from gauntlet.events import BatchAttacked
from gauntlet.models.devices import found_device
from gauntlet.models.precision import Model, fp32_products
from gauntlet.results.finding import Finding, doubtful_sources
from gauntlet.results.masking import MASKING_PREFIX, masking_attacks
from gauntlet.results.stage_results import NATURAL
from gauntlet.spec.evaluations.attacks import AnyAttack, Transfer
from gauntlet.spec.evaluations.evaluation import EvaluationSpec, other_models
from gauntlet.spec.evaluations.smoothing import SmoothingSpec

_NATURAL_COST = 3
# Images for the first look at a model: enough to tell a tenth from chance, and no more than fits the memory.
_TRIED, _TRIED_PIXELS = 64, 16 * 128 * 128


class Evaluation(Iterator[BatchAttacked]):
    """An evaluation's batches, each attacked as it is asked for; `findings` are there from the start."""

    def __init__(
        self,
        findings: tuple[Finding, ...],
        sweep: Sweep,
        batches: Generator[BatchAttacked, None, None],
        prices: Mapping[str, Price],
    ) -> None:
        self.findings = findings
        self._sweep = sweep
        self._batches = batches
        self._prices = prices

    def __next__(self) -> BatchAttacked:
        return next(self._batches)

    def passes(self, batch: BatchAttacked) -> int:
        """The nominal cost of a batch in model passes, without what it spares later."""
        return self._prices[batch.stage].passes(batch)

    def left(self) -> float:
        """Model passes that are expected to be left; a bound until a first segment is through all attacks."""
        return self._sweep.left()

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
    colleagues: Colleagues | None = None,
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
        watch: told before each batch is computed, and while others compute the rest; may raise to end the evaluation.
        colleagues: others that work on the same evaluation; what they do is not done here, and not yielded.

    Raises:
        AttackUnsupported: an attack is not defined for so few classes, or a source is missing.
        DeviceUnavailable: torch finds no such device here.
        ImagesInvalid: there is no image, or a label beyond the classes.
        ModelUnfit: the model or a source fails on images, or answers with something else than logits.
        OutputNotFinite: the model's output is infinite or NaN on some image.
    """
    refuse(list(attack_faults([*spec.attacks, *masking_attacks(spec)], classes, "/attacks")))
    _require_images(test, classes)
    _require_sources(spec, sources)
    device = found_device(device)
    examined = _examined(model, test, classes, device)
    sources_examined = {name: _examined(source, test, classes, device) for name, source in sources.items()}
    others = {name: source.model for name, source in sources_examined.items()}
    victim = Victim(examined.model, classes, device, others, examined.scale, examined.random)
    transfers = [attack for attack in (*spec.attacks, *masking_attacks(spec)) if isinstance(attack, Transfer)]
    findings = (
        *concerning(spec.attacks, examined.findings),
        *doubtful_sources(
            {
                name: concerning_source([attack for attack in transfers if attack.source == name], source.findings)
                for name, source in sources_examined.items()
            }
        ),
    )
    images = test.take(spec.samples).to(device)
    plans = _Plans(spec, victim, images)
    prices = plans.prices()
    sweep = Sweep(
        victim,
        findings,
        images,
        spec,
        prices=prices,
        total=plans.total(len(images)),
        done=done,
        known=known,
        watch=watch,
        colleagues=colleagues or Alone(),
    )
    return Evaluation(findings, sweep, sweep.through(lambda segment: plans.attack(sweep, segment)), prices)


class _Plans:
    """All that is done to each segment of the images, and what it costs."""

    def __init__(self, spec: EvaluationSpec, victim: Victim, images: ImageSet) -> None:
        self._spec, self._victim = spec, victim
        self._attacks = [stages_of(attack, victim, spec.seed) for attack in spec.attacks]
        self._checks = [stages_of(attack, victim, spec.seed) for attack in masking_attacks(spec)]
        self._corruptions = stages.corruption_stages(spec, images)

    def prices(self) -> dict[str, Price]:
        """By stage."""
        ensembles = [plan for plan in self._attacks if len(plan) > 1]
        found = {NATURAL: Price(_NATURAL_COST, sum(stage.cost for plan in ensembles for stage in plan))}
        for plan in self._attacks:
            rest = sum(stage.cost for stage in plan)
            for stage in plan:
                rest -= stage.cost
                found[stage.name] = Price(stage.cost, rest)
        found |= {f"{MASKING_PREFIX}{stage.name}": Price(stage.cost) for (stage,) in self._checks}
        found |= {stage.name: Price(stage.cost) for stage in self._corruptions}
        if self._spec.smoothing is not None:
            certified = Certificates(self._victim, self._spec.smoothing, self._spec.seed).stages()
            found |= {stage.name: Price(stage.cost) for stage in certified}
        return found

    def total(self, images: int) -> int:
        """Model passes for so many images."""
        spec = self._spec
        total = images * nominal_cost(spec.attacks)
        if spec.masking is not None:
            total += min(images, spec.masking.samples) * sum(map(stages.nominal_cost, masking_attacks(spec)))
        total += images * sum(stage.cost for stage in self._corruptions)
        if spec.smoothing is not None:
            total += min(images, spec.smoothing.samples) * certifying_cost(spec.smoothing)
        return total

    def attack(self, sweep: Sweep, segment: Tensor) -> Segment:
        """Do all of it to the images at these positions."""
        spec = self._spec
        right = yield from sweep.run(NATURAL, segment, lambda x, _: x)
        for plan in self._attacks:
            yield from _attack_segment(sweep, plan, segment, segment[right])
        checked_images = spec.masking.samples if spec.masking else 0
        for (stage,) in self._checks:
            sample = segment[segment < checked_images]
            yield from sweep.run(f"{MASKING_PREFIX}{stage.name}", sample, stage.perturb)
        for stage in self._corruptions:
            yield from sweep.run(stage.name, segment, stage.perturb)
        if spec.smoothing is not None:
            yield from self._certify(sweep, spec.smoothing, segment[segment < spec.smoothing.samples])

    def _certify(self, sweep: Sweep, smoothing: SmoothingSpec, sample: Tensor) -> Segment:
        """Batch by batch, so that what was certified is read off at every radius before the next is: draws are dear."""
        certificates = Certificates(self._victim, smoothing, self._spec.seed)
        for number, batch in enumerate(sample.split(sweep.batch_size) if len(sample) else ()):
            for stage in certificates.stages():
                yield from sweep.run(stage.name, batch, lambda x, _: x, predict=stage.predict, numbered_from=number)


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


def _attack_segment(sweep: Sweep, plan: Sequence[Stage], segment: Tensor, right: Tensor) -> Segment:
    """Run one attack's stages: a single one on every image, several on what is still right."""
    left = segment if len(plan) == 1 else right
    for stage in plan:
        robust = yield from sweep.run(stage.name, left, stage.perturb)
        left = left[robust]
