"""Our numbers beside those of arXiv 2012.04353, where the spec is that paper's comparison."""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from pydantic import BaseModel, ConfigDict

from gauntlet.report.published import PAPER, Published
from gauntlet.report.summaries import Estimate, Summary
from gauntlet.spec.evaluation import Selection
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.kinds import dataset_title

_EPS = Fraction(8, 255)
_IMAGE = (3, 32, 32)
_TRAINING_IMAGES, _TEST_IMAGES, _EPOCHS = 50_000, 10_000, 220
_PRESET = ExperimentSpec.model_validate({"preset": "paper"})
# Fields of the training that have a sentence of their own, or that change no number.
_NAMED_OTHERWISE = {"epochs", "initial_checkpoint", "compile"}


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Beside(_Value):
    """One accuracy of ours, a fraction, and the paper's; `difference_points` is ours − the paper's in per cent."""

    ours: Estimate
    published: float
    difference_points: float


class PaperRow(_Value):
    """A summary beside the line of the paper's table that it answers to."""

    objective: str
    selection: Selection
    seeds: tuple[int, ...]
    epochs: tuple[int, ...]
    published: Published
    natural: Beside | None
    fgsm: Beside | None
    autoattack: Beside | None


class PaperComparison(_Value):
    """`same_dataset` says whether the data set is CIFAR-10 itself; `departures` what else is not as in the paper."""

    same_dataset: bool
    departures: tuple[str, ...]
    rows: tuple[PaperRow, ...]


def beside_the_paper(spec: ExperimentSpec, summaries: Sequence[Summary], n: int | None) -> PaperComparison | None:
    """The comparison, or None where the spec is another: other images, network, adversary or budget of training.

    `n` is how many test images were attacked, None where nothing is measured yet.
    """
    same_kind = spec.dataset.image_shape == _IMAGE and spec.architecture.kind == "cnn"
    if not same_kind or spec.adversary.kind != "fgsm" or spec.adversary.eps != _EPS:
        return None
    return PaperComparison(
        same_dataset=spec.dataset.name == "cifar10",
        departures=tuple(_departures(spec, n)),
        rows=tuple(_rows(spec, summaries)),
    )


def _departures(spec: ExperimentSpec, n: int | None) -> Iterator[str]:
    if spec.dataset.name != "cifar10":
        yield f"The data set is {dataset_title(spec.dataset)}, not CIFAR-10 as torchvision has it."
    samples = min(spec.dataset.train_samples or _TRAINING_IMAGES, _TRAINING_IMAGES)
    samples -= spec.evaluation.held_out(samples)
    if samples < _TRAINING_IMAGES:
        yield f"Training is on {samples:,} images, not {_TRAINING_IMAGES:,}."
    if spec.training.epochs != _EPOCHS:
        yield f"Training is for {spec.training.epochs} epochs, not {_EPOCHS}."
    if n is not None and n != _TEST_IMAGES:
        yield f"Accuracies are of {n:,} test images, not {_TEST_IMAGES:,}."
    if spec.training.initial_checkpoint is not None:
        yield "Training starts from another checkpoint's weights."
    yield from _changed_fields(spec)
    if spec.evaluation.select_on != "test":
        yield "The best checkpoint was selected on held-out training images; the paper selected on the test set."


def _changed_fields(spec: ExperimentSpec) -> Iterator[str]:
    """Where the way of training departs from the preset that interprets the paper."""
    for part, ours, preset in (
        ("training", spec.training.model_dump(mode="json"), _PRESET.training.model_dump(mode="json")),
        ("adversary", spec.adversary.model_dump(mode="json"), _PRESET.adversary.model_dump(mode="json")),
    ):
        for name in ours:
            if name not in _NAMED_OTHERWISE and ours[name] != preset[name]:
                yield f"{part}.{name} is {_written(ours[name])}, not {_written(preset[name])}."
    for label, objective in zip(spec.objective_labels(), spec.objectives, strict=True):
        changed = objective.model_dump(mode="json", exclude_defaults=True, exclude={"kind"})
        if changed:
            yield f"The objective {label} departs from the preset's: {_written(changed)}."


def _written(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_written(item)}" for name, item in value.items())
    return str(value)


def _rows(spec: ExperimentSpec, summaries: Sequence[Summary]) -> Iterator[PaperRow]:
    kinds = dict(zip(spec.objective_labels(), (objective.kind for objective in spec.objectives), strict=True))
    for summary in summaries:
        published = PAPER.get((kinds[summary.objective], summary.selection))
        if published is None:
            continue
        fgsm = summary.fgsm_accuracy if _at_the_papers_budget(spec, "fgsm") else None
        autoattack = summary.autoattack_accuracy if _at_the_papers_budget(spec, "autoattack") else None
        yield PaperRow(
            objective=summary.objective,
            selection=summary.selection,
            seeds=summary.seeds,
            epochs=summary.epochs,
            published=published,
            natural=_beside(summary.natural_accuracy, published.natural),
            fgsm=_beside(fgsm, published.fgsm),
            autoattack=_beside(autoattack, published.robust),
        )


def _at_the_papers_budget(spec: ExperimentSpec, kind: str) -> bool:
    """Whether a report's column of this attack is at the paper's budget, AutoAttack's of its standard form."""
    shown = next((attack for attack in spec.evaluation.attacks if attack.kind == kind and attack.norm == "Linf"), None)
    return shown is not None and shown.eps == _EPS and getattr(shown, "version", "standard") == "standard"


def _beside(ours: Estimate | None, published: float | None) -> Beside | None:
    if ours is None or published is None:
        return None
    return Beside(ours=ours, published=published, difference_points=100 * (ours.mean - published))
