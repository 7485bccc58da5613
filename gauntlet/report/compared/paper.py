"""Our numbers beside those of arXiv 2012.04353, where the spec is that paper's comparison."""

import re
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from pydantic import BaseModel, ConfigDict

from gauntlet.report.compared.published import PAPER, Published
from gauntlet.report.numbers import counted
from gauntlet.report.report_row import ReportRow
from gauntlet.report.summaries import Estimate, Summary
from gauntlet.spec.evaluations.attacks import AutoAttack, FgsmAttack, attack_label
from gauntlet.spec.evaluations.evaluation import Selected
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.kinds import DatasetSpec, dataset_title
from gauntlet.spec.runs.architectures import Cnn
from gauntlet.spec.runs.objective_labels import departures, objective_title

_EPS = Fraction(8, 255)
_IMAGE = (3, 32, 32)
_TRAINING_IMAGES, _TEST_IMAGES, _EPOCHS = 50_000, 10_000, 220
_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# The paper's attacks, as our columns have them; another budget, norm or version has another key.
_FGSM, _AUTOATTACK = attack_label(FgsmAttack(eps=_EPS)), attack_label(AutoAttack(eps=_EPS))
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
    selection: Selected
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


def beside_the_paper(
    spec: ExperimentSpec, labels: Sequence[str], summaries: Sequence[Summary], rows: Sequence[ReportRow]
) -> PaperComparison | None:
    """The comparison, or None where the spec is another: other images, classes, network, adversary or budget; a sweep.

    `labels` are what the rows call the spec's objectives, in its order.
    """
    adversary = spec.adversary
    if spec.sweep is not None:
        # Each of its trials is another spec.
        return None
    if spec.architecture.kind != "cnn" or (adversary.kind, adversary.norm, adversary.eps) != ("fgsm", "Linf", _EPS):
        return None
    if spec.dataset.name != "cifar10" and not _is_a_copy(spec.dataset, rows):
        return None
    return PaperComparison(
        same_dataset=spec.dataset.name == "cifar10",
        departures=tuple(_departures(spec, labels, rows[0].n if rows else None)),
        rows=tuple(_rows(spec, labels, summaries)),
    )


def _is_a_copy(dataset: DatasetSpec, rows: Sequence[ReportRow]) -> bool:
    """Whether a folder of images says of itself that it holds CIFAR-10: by its name and by all its classes' names.

    By its classes alone it might be CINIC-10, and before something is measured they are not known.
    """
    if dataset.name not in ("image_folder", "uploaded") or dataset.image_shape != _IMAGE:
        return False
    called = dataset.folder if dataset.name == "image_folder" else dataset.title or ""
    named = re.sub(r"[^a-z0-9]", "", called.lower()).startswith("cifar10")
    return named and all(sorted(row.outcome.classes) == sorted(_CLASSES) for row in rows) and len(rows) > 0


def _departures(spec: ExperimentSpec, labels: Sequence[str], n: int | None) -> Iterator[str]:
    if spec.dataset.name != "cifar10":
        yield f"The data set is {dataset_title(spec.dataset)}: copies of CIFAR-10, by the names of its classes."
    samples = min(spec.dataset.train_samples or _TRAINING_IMAGES, _TRAINING_IMAGES)
    samples -= spec.evaluation.held_out(samples)
    if samples < _TRAINING_IMAGES:
        yield f"Training is on {samples:,} images, not {_TRAINING_IMAGES:,}."
    if spec.training.epochs != _EPOCHS:
        yield f"Training is for {counted(spec.training.epochs, 'epoch')}, not {_EPOCHS}."
    if n is not None and n != _TEST_IMAGES:
        yield f"Accuracies are of {n:,} test images, not {_TEST_IMAGES:,}."
    if isinstance(spec.architecture, Cnn) and not spec.architecture.dropout:
        yield "The network has no dropout."
    if spec.normalisation is not None:
        yield "Images are normalised in front of the network, of which the paper says nothing."
    if spec.training.initial_checkpoint is not None:
        yield "Training starts from another checkpoint's weights."
    yield from _changed_fields(spec, labels)
    if spec.evaluation.select_on != "test":
        yield "The best checkpoint was selected on held-out training images; the paper selected on the test set."


def _changed_fields(spec: ExperimentSpec, labels: Sequence[str]) -> Iterator[str]:
    """Where the way of training departs from the preset that interprets the paper."""
    for part, ours, preset in (
        ("training", spec.training.model_dump(mode="json"), _PRESET.training.model_dump(mode="json")),
        ("adversary", spec.adversary.model_dump(mode="json"), _PRESET.adversary.model_dump(mode="json")),
    ):
        for name in ours:
            if name not in _NAMED_OTHERWISE and ours[name] != preset[name]:
                yield f"{part}.{name} is {_written(ours[name])}, not {_written(preset[name])}."
    presets = {objective.kind: objective for objective in _PRESET.objectives}
    for label, objective in zip(labels, spec.objectives, strict=True):
        if changed := departures(objective, presets.get(objective.kind)):
            yield f"{objective_title(label)} departs from the preset: {changed}."


def _written(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_written(item)}" for name, item in value.items())
    return str(value)


def _rows(spec: ExperimentSpec, labels: Sequence[str], summaries: Sequence[Summary]) -> Iterator[PaperRow]:
    kinds = dict(zip(labels, (objective.kind for objective in spec.objectives), strict=True))
    for summary in summaries:
        published = PAPER.get((kinds[summary.objective], summary.selection))
        if published is not None:
            yield PaperRow(
                objective=summary.objective,
                selection=summary.selection,
                seeds=summary.seeds,
                epochs=summary.epochs,
                published=published,
                natural=_beside(summary.natural_accuracy, published.natural),
                fgsm=_beside(summary.accuracies.get(_FGSM), published.fgsm),
                autoattack=_beside(summary.accuracies.get(_AUTOATTACK), published.robust),
            )


def _beside(ours: Estimate | None, published: float | None) -> Beside | None:
    if ours is None or published is None:
        return None
    return Beside(ours=ours, published=published, difference_points=100 * (ours.mean - published))
