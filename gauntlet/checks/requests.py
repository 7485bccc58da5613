"""All that is wrong with a request, by what was seen of its data and of the checkpoints it names.

What was not looked at is not judged: a description or a card may be missing, and the worker looks again.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping

from gauntlet.checks.classes import unlike_classes
from gauntlet.checks.description import DatasetDescription
from gauntlet.checks.faults import Fault
from gauntlet.checks.lone_images import MENDED, lone_image
from gauntlet.checks.machine import Machine
from gauntlet.checks.names import counted, listed
from gauntlet.checks.used_images import images_taken
from gauntlet.errors import CompilerMissing
from gauntlet.spec.checkpoint_card import CheckpointCard
from gauntlet.spec.evaluations.attacks import AnyAttack, AutoAttack, attack_label, fewest_classes
from gauntlet.spec.evaluations.evaluation import MOST_KEPT_BYTES, EvaluationSpec, ExperimentEvaluationSpec, kept_bytes
from gauntlet.spec.evaluations.transfers import TransferRequest
from gauntlet.spec.experiment import ExperimentSpec, RunSpec
from gauntlet.spec.kinds import DatasetSpec, ImageFolder, Parquet, Uploaded
from gauntlet.spec.runs.architectures import ArchitectureSpec, Custom
from gauntlet.spec.runs.normalisation import unlike_normalisation
from gauntlet.spec.runs.training import TrainingSpec

# By id: what a checkpoint says of itself, or None where there is none. Ids that were not looked up are absent.
Cards = Mapping[str, CheckpointCard | None]
Descriptions = Mapping[str, DatasetDescription]

# Image shape, classes (None if unknown), and what has them.
_UsedOn = tuple[tuple[int, int, int], tuple[str, ...] | None, str]

_FEW = 2
_DATA_SET, _CHECKPOINT, _ATTACKED = "the data set", "the checkpoint", "the attacked checkpoint"


def experiment_faults(
    spec: ExperimentSpec | RunSpec, found: DatasetDescription | None, cards: Cards, machine: Machine
) -> tuple[Fault, ...]:
    """What is wrong with an experiment or a run that is to be trained on that machine."""
    told = (fault for each in _trials(spec) for fault in _experiment_faults(each, found, cards, machine))
    # What is wrong with one trial of a sweep is wrong with most.
    return tuple(dict.fromkeys(told))


def _trials(spec: ExperimentSpec | RunSpec) -> list[ExperimentSpec | RunSpec]:
    """What differs in more than objective and seed: the spec itself, or of a sweep a run of each trial."""
    if isinstance(spec, RunSpec) or spec.sweep is None:
        return [spec]
    return list({each.trial.number: each.run for each in spec.planned() if each.trial is not None}.values())


def _experiment_faults(
    spec: ExperimentSpec | RunSpec, found: DatasetDescription | None, cards: Cards, machine: Machine
) -> Iterator[Fault]:
    classes = None if found is None else _classes(found)
    if found is not None:
        yield from _unusable(found, _pointer_of(spec.dataset))
        yield from _counts(spec.dataset, spec.evaluation, found)
    if classes is not None:
        yield from attack_faults(spec.evaluation.attacks, len(classes), "/evaluation/attacks")
    yield from _kept_faults(spec.evaluation, spec.dataset.image_shape, "/evaluation/keep_images")
    yield from _machine_faults(spec.training, machine)
    yield from _unknown_network(spec.architecture, machine)
    yield from _initial_checkpoint(spec, classes, cards)
    for identifier, pointer in sources(spec.evaluation, "/evaluation"):
        card = yield from _card(identifier, pointer, cards)
        if card is not None:
            yield from _source(identifier, card, pointer, (spec.dataset.image_shape, classes, _DATA_SET))


def resume_faults(before: DatasetDescription, now: DatasetDescription) -> tuple[Fault, ...]:
    """What keeps a run from going on with the data that is there now; earlier epochs were trained on `before`."""
    then, there = _classes(before) or (), _classes(now) or ()
    unlike = unlike_classes("the data of earlier epochs", then, _DATA_SET, there)
    return (Fault(kind="dataset_unavailable", pointer="/dataset", message=unlike),) if unlike else ()


def remarks(spec: ExperimentSpec | RunSpec, found: DatasetDescription | None, cards: Cards) -> Iterator[str]:
    """What is no fault, and may still not be what was meant."""
    samples = spec.evaluation.samples
    if found is not None and found.test is not None and samples > found.test.images:
        there = counted(found.test.images, "test image")
        yield f"evaluation.samples asks for {samples:,} images, and there are {there}: all of them are attacked."
    if found is not None and found.train is not None:
        images = found.train.images
        yield from dict.fromkeys(remark for each in _trials(spec) for remark in _lone_images(each, images))
    for identifier in named_checkpoints(spec):
        if identifier not in cards:
            yield f"The checkpoint {identifier} was not looked up: the database is not to be seen from here."


def _lone_images(spec: ExperimentSpec | RunSpec, images: int) -> Iterator[str]:
    taken = images_taken(spec.dataset, images)
    trained_on = taken - spec.evaluation.held_out(taken)
    if trained_on > 0 and (told := lone_image(spec, trained_on)):
        yield f"{told} A run whose batch normalisation cannot take it ends as model_unfit before training; {MENDED}"


def evaluation_faults(
    checkpoint: str, spec: EvaluationSpec, found: DatasetDescription | None, cards: Cards
) -> tuple[Fault, ...]:
    """What is wrong with an evaluation of that checkpoint on its test images, which `found` describes."""
    return tuple(_evaluation_faults(checkpoint, spec, found, cards))


def _evaluation_faults(
    checkpoint: str, spec: EvaluationSpec, found: DatasetDescription | None, cards: Cards
) -> Iterator[Fault]:
    card = yield from _card(checkpoint, "/checkpoint", cards)
    if card is not None:
        yield from _own_data(card, found, "/checkpoint")
        yield from attack_faults(spec.attacks, len(card.classes), "/attacks")
        yield from _kept_faults(spec, card.image_shape, "/keep_images")
    for identifier, pointer in sources(spec, ""):
        source = yield from _card(identifier, pointer, cards)
        if source is not None and card is not None:
            yield from _source(identifier, source, pointer, (card.image_shape, card.classes, _ATTACKED))


def _kept_faults(spec: EvaluationSpec, image_shape: tuple[int, int, int], pointer: str) -> Iterator[Fault]:
    size = kept_bytes(spec, image_shape)
    if size > MOST_KEPT_BYTES:
        fitting = spec.keep_images * MOST_KEPT_BYTES // size
        yield Fault(
            kind="pictures_too_many",
            pointer=pointer,
            message=f"The pictures of {spec.keep_images} images under {len(spec.attacks)} attacks take "
            f"{size >> 20} MiB, and {MOST_KEPT_BYTES >> 20} are kept of an evaluation: those of {fitting} images.",
        )


def transfer_faults(request: TransferRequest, found: Descriptions, cards: Cards) -> tuple[Fault, ...]:
    """What is wrong with a transfer matrix; `found` describes the test images of each checkpoint."""
    return tuple(_transfer_faults(request, found, cards))


def _transfer_faults(request: TransferRequest, found: Descriptions, cards: Cards) -> Iterator[Fault]:
    first: CheckpointCard | None = None
    for position, identifier in enumerate(request.checkpoints):
        pointer = f"/checkpoints/{position}"
        card = yield from _card(identifier, pointer, cards)
        if card is None:
            continue
        yield from _own_data(card, found.get(identifier), pointer)
        if first is None:
            first = card
        else:
            yield from _source(identifier, card, pointer, (first.image_shape, first.classes, "the first checkpoint"))


def import_faults(card: CheckpointCard, found: DatasetDescription | None) -> tuple[Fault, ...]:
    """What is wrong with what an import says of its classes, where its test images are there."""
    if found is None or found.faults:
        # Pictures can be classified without any data set; an evaluation tells what is wrong with it.
        return ()
    return tuple(_own_data(card, found, "/card/classes"))


def attack_faults(attacks: Iterable[AnyAttack], classes: int, pointer: str) -> Iterator[Fault]:
    """Attacks that are not defined for so few classes; the list of them is at `pointer`."""
    for position, attack in enumerate(attacks):
        fewest = fewest_classes(attack)
        if classes < fewest:
            message = f"{attack_label(attack)} needs at least {fewest} classes, and here are {classes}."
            if isinstance(attack, AutoAttack) and classes >= _FEW:
                message += " Its version few is defined for them."
            yield Fault(kind="attack_unsupported", pointer=f"{pointer}/{position}", message=message)


def _machine_faults(training: TrainingSpec, machine: Machine) -> Iterator[Fault]:
    """What the machine has not that training asks for."""
    if machine.gpu is not False:
        return
    if training.precision == "tf32":
        message = "training.precision tf32 needs a GPU, and training is on a CPU here: take fp32 or bf16."
        yield Fault(kind="precision_unsupported", pointer="/training/precision", message=message)
    if training.compile == "on" and machine.compiler is False:
        yield Fault(kind="compiler_missing", pointer="/training/compile", message=CompilerMissing.TOLD)


def _unknown_network(architecture: ArchitectureSpec, machine: Machine) -> Iterator[Fault]:
    """A network of a team's own that nobody has who would train it."""
    if not isinstance(architecture, Custom) or machine.networks is None or architecture.name in machine.networks:
        return
    there = f"these are: {listed(sorted(machine.networks))}" if machine.networks else "none of that kind is"
    message = (
        f"No network is called {architecture.name!r} by a package that GAUNTLET_ARCHITECTURES names beside the "
        f"workers; {there}."
    )
    yield Fault(kind="model_unfit", pointer="/architecture/name", message=message)


def sources(spec: EvaluationSpec, pointer: str) -> Iterator[tuple[str, str]]:
    """The checkpoints that examples are to be made on, and where each is named; the evaluation is at `pointer`."""
    for position, attack in enumerate(spec.attacks):
        if attack.kind == "transfer":
            yield attack.source, f"{pointer}/attacks/{position}/source"
    for position, source in enumerate(spec.masking.sources if spec.masking else ()):
        yield source, f"{pointer}/masking/sources/{position}"


def named_checkpoints(spec: ExperimentSpec | RunSpec) -> list[str]:
    """All checkpoints that an experiment or a run names."""
    return [*initial_checkpoints(spec), *(identifier for identifier, _ in sources(spec.evaluation, ""))]


def initial_checkpoints(spec: ExperimentSpec | RunSpec) -> list[str]:
    """The checkpoints that training starts from: none or one, or several of a sweep."""
    named = (each.training.initial_checkpoint for each in _trials(spec))
    return list(dict.fromkeys(identifier for identifier in named if identifier is not None))


def _classes(found: DatasetDescription) -> tuple[str, ...] | None:
    split = found.train or found.test
    return None if split is None else split.names


def _pointer_of(dataset: DatasetSpec) -> str:
    match dataset:
        case ImageFolder() | Parquet():
            return "/dataset/folder"
        case Uploaded():
            return "/dataset/id"
        case _:
            return "/dataset"


def _unusable(found: DatasetDescription, pointer: str) -> Iterator[Fault]:
    for message in found.faults:
        yield Fault(kind="dataset_unavailable", pointer=pointer, message=message)


def _counts(dataset: DatasetSpec, evaluation: ExperimentEvaluationSpec, found: DatasetDescription) -> Iterator[Fault]:
    """More training images asked for, or held out, than there are."""
    if found.train is None or not found.train.images:
        return
    images = found.train.images
    if message := too_many_asked_for(dataset.train_samples, images):
        yield Fault(kind="dataset_unavailable", pointer="/dataset/train_samples", message=message)
    trained_on = images_taken(dataset, images)
    if message := none_left(evaluation.held_out(trained_on), trained_on):
        yield Fault(kind="dataset_unavailable", pointer="/evaluation/validation_samples", message=message)


def too_many_asked_for(samples: int | None, images: int) -> str | None:
    """A sentence where `train_samples` is more than there are."""
    if samples is None or samples <= images:
        return None
    there = counted(images, "training image")
    return f"train_samples asks for {samples:,} images, and there are {there}: ask for fewer, or leave it out for all."


def none_left(held_out: int, images: int) -> str | None:
    """A sentence where no training image is left beside those held out for validation."""
    if held_out == 0 or held_out < images:
        return None
    return (
        f"There are {counted(images, 'training image')}, and {held_out:,} of them are to be held out for validation: "
        "none is left to train on."
    )


def _card(identifier: str, pointer: str, cards: Cards) -> Generator[Fault, None, CheckpointCard | None]:
    """The card of a named checkpoint, None where it was not looked up; a fault where there is none."""
    if identifier in cards and cards[identifier] is None:
        message = f"There is no checkpoint with the id {identifier!r}."
        yield Fault(kind="checkpoint_invalid", pointer=pointer, message=message)
    return cards.get(identifier)


def _initial_checkpoint(
    spec: ExperimentSpec | RunSpec, classes: tuple[str, ...] | None, cards: Cards
) -> Iterator[Fault]:
    identifier, pointer = spec.training.initial_checkpoint, "/training/initial_checkpoint"
    if identifier is None:
        return
    card = yield from _card(identifier, pointer, cards)
    if card is None:
        return
    held, wanted = _model(card.architecture, card.image_shape), _model(spec.architecture, spec.dataset.image_shape)
    faults = []
    if held != wanted:
        faults.append(f"The initial checkpoint holds a {held}, but what is trained is a {wanted}.")
    if unlike := unlike_normalisation("The initial checkpoint", card.normalisation, spec.normalisation):
        faults.append(unlike)
    if classes is not None and (unlike := unlike_classes("the initial checkpoint", card.classes, _DATA_SET, classes)):
        faults.append(unlike)
    for message in faults:
        yield Fault(kind="checkpoint_invalid", pointer=pointer, message=message)


def _model(architecture: ArchitectureSpec, image_shape: tuple[int, int, int]) -> str:
    return f"{architecture.kind} for {_images(image_shape)}"


def _images(image_shape: tuple[int, int, int]) -> str:
    channels, height, width = image_shape
    return f"{channels} × {height} × {width} images"


def _own_data(card: CheckpointCard, found: DatasetDescription | None, pointer: str) -> Iterator[Fault]:
    """What keeps a checkpoint from being measured on the test images that it was made for."""
    if found is None:
        return
    yield from _unusable(found, pointer)
    if found.test is None or found.faults:
        return
    names = found.test.names
    if unlike := unlike_classes(_CHECKPOINT, card.classes, _DATA_SET, names):
        ordered = " Reorder the rows of its last layer, and import it so." if set(card.classes) == set(names) else ""
        yield Fault(kind="checkpoint_invalid", pointer=pointer, message=unlike + ordered)


def _source(identifier: str, card: CheckpointCard, pointer: str, used_on: _UsedOn) -> Iterator[Fault]:
    """What keeps examples made on a checkpoint from being shown to another: its images or its classes."""
    image_shape, classes, owner = used_on
    faults = []
    if card.image_shape != image_shape:
        held, wanted = _images(card.image_shape), _images(image_shape)
        faults.append(f"Checkpoint {identifier} is for {held}, but {owner} is for {wanted}.")
    if classes is not None and (unlike := unlike_classes(f"checkpoint {identifier}", card.classes, owner, classes)):
        faults.append(unlike)
    for message in faults:
        yield Fault(kind="checkpoint_invalid", pointer=pointer, message=message)
