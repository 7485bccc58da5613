"""A request held against what was seen of its data and checkpoints: every fault at once, each at its field."""

from typing import Any

import pytest

from gauntlet.checks.description import ClassImages, DatasetDescription, SplitDescription
from gauntlet.checks.faults import Fault, refuse
from gauntlet.checks.machine import UNKNOWN, Machine
from gauntlet.checks.requests import (
    evaluation_faults,
    experiment_faults,
    import_faults,
    named_checkpoints,
    remarks,
    transfer_faults,
)
from gauntlet.errors import AttackUnsupported, DatasetUnavailable
from gauntlet.spec.checkpoint_card import CheckpointCard, Imported
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from gauntlet.spec.evaluations.transfers import TransferRequest
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.kinds import ImageFolder
from gauntlet.spec.presets import overlay
from gauntlet.spec.runs.architectures import Cnn, ResNet
from gauntlet.spec.runs.normalisation import Normalisation

FGSM = {"kind": "fgsm", "eps": "8/255"}
AUTO = {"kind": "autoattack", "eps": "8/255"}
CPU = Machine(gpu=False, compiler=False)
OWN = {"architecture": {"kind": "custom", "name": "mine"}}
PETS = ImageFolder(folder="pets", image_size=32)


def split(*classes: str, images: int = 10) -> SplitDescription:
    return SplitDescription(classes=tuple(ClassImages(name=name, images=images) for name in classes))


def seen(*classes: str, images: int = 10, **fields: Any) -> DatasetDescription:
    return DatasetDescription(
        dataset="image_folder pets", train=split(*classes, images=images), test=split(*classes), **fields
    )


def spec(**changes: Any) -> ExperimentSpec:
    whole = {
        "dataset": {"name": "image_folder", "folder": "pets"},
        "objectives": [{"kind": "cross_entropy"}],
        "adversary": FGSM,
        "evaluation": {"attacks": [FGSM]},
    }
    return ExperimentSpec.model_validate(overlay(whole, changes))


def card(*classes: str, **fields: Any) -> CheckpointCard:
    whole = {"architecture": Cnn(), "dataset": PETS, "image_shape": PETS.image_shape, "origin": Imported(name="x")}
    return CheckpointCard.model_validate(whole | {"classes": classes} | fields)


def told(faults: tuple[Fault, ...]) -> list[tuple[str, str]]:
    return [(fault.pointer, fault.message) for fault in faults]


def test_a_request_that_fits_has_no_fault() -> None:
    """Nor has one of which nothing was seen."""
    starting = spec(training={"initial_checkpoint": "ckpt_1", "precision": "bf16"})
    for found, cards in ((seen("cat", "dog"), {"ckpt_1": card("cat", "dog")}), (None, {})):
        assert experiment_faults(starting, found, cards, CPU) == ()


@pytest.mark.parametrize(
    ("changes", "found", "machine", "pointer", "message"),
    [
        ({}, seen("a", "b", faults=("Not there.",)), UNKNOWN, "/dataset/folder", "Not there."),
        (
            {"dataset": {"train_samples": 21}},
            seen("a", "b"),
            UNKNOWN,
            "/dataset/train_samples",
            "there are 20 training",
        ),
        (
            {"evaluation": {"select_on": "validation", "validation_samples": 20}},
            seen("a", "b"),
            UNKNOWN,
            "/evaluation/validation_samples",
            "There are 20 training images, and 20 of them are to be held out",
        ),
        (
            {"evaluation": {"attacks": [FGSM, AUTO]}},
            seen("a", "b", "c"),
            UNKNOWN,
            "/evaluation/attacks/1",
            "autoattack@8/255 needs at least 4 classes, and here are 3. Its version few is defined for them.",
        ),
        ({"training": {"precision": "tf32"}}, None, CPU, "/training/precision", "needs a GPU"),
        ({"training": {"precision": "tf32"}}, None, Machine(gpu=True), None, ""),
        ({"training": {"precision": "tf32"}}, None, UNKNOWN, None, ""),
        ({"training": {"compile": "on"}}, None, CPU, "/training/compile", "Install g++"),
        ({"training": {"compile": "on"}}, None, Machine(gpu=False, compiler=True), None, ""),
        ({"training": {"compile": "on"}}, None, Machine(gpu=True, compiler=False), None, ""),
        ({"training": {"compile": "auto"}}, None, CPU, None, ""),
        (OWN, None, Machine(networks=frozenset({"b", "a"})), "/architecture/name", "workers; these are: a, b."),
        (OWN, None, Machine(networks=frozenset()), "/architecture/name", "workers; none of that kind is."),
        (OWN, None, Machine(networks=frozenset({"mine"})), None, ""),
        (OWN, None, UNKNOWN, None, ""),
    ],
)
def test_what_does_not_fit_the_data_is_told_at_its_field(
    changes: dict[str, Any], found: DatasetDescription | None, machine: Machine, pointer: str | None, message: str
) -> None:
    """Counts, classes, precision, and all that is wrong with the data itself; what is not known is not judged."""
    faults = told(experiment_faults(spec(**changes), found, {}, machine))
    assert [place for place, _ in faults] == ([] if pointer is None else [pointer])
    assert all(message in sentence for _, sentence in faults)


def test_a_batch_of_one_image_is_remarked_on() -> None:
    """Of networks that may not take it, by the images that are left to train on, and of each trial of a sweep."""
    held_out = {"select_on": "validation", "validation_samples": 3}
    torchvision = {"architecture": {"kind": "torchvision", "name": "resnet18"}}
    lone = spec(**torchvision, training={"batch_size": 8}, evaluation=held_out, dataset={"train_samples": 12})
    (remark,) = [each for each in remarks(lone, seen("cat", "dog"), {}) if "samples asks" not in each]
    assert remark.startswith("Of 9 training images in batches of 8 the last batch has 1: ")
    assert "ends as model_unfit before training; another training.batch_size, " in remark
    swept = spec(**OWN, sweep={"over": {"training.batch_size": [19, 20, 1], "training.epochs": [1, 2]}})
    found = [each for each in remarks(swept, seen("cat", "dog"), {}) if "samples asks" not in each]
    assert [each.partition(":")[0] for each in found] == [
        f"Of 20 training images in batches of {size} the last batch has 1" for size in (19, 1)
    ]
    for fits in (spec(training={"batch_size": 19}), spec(**torchvision, training={"batch_size": 18})):
        assert not any("batches" in each for each in remarks(fits, seen("cat", "dog"), {}))


def test_every_trial_of_a_sweep_is_looked_at() -> None:
    """Each by its own values, and what is wrong with several once."""
    over = {"training.initial_checkpoint": ["ckpt_1", "ckpt_2"], "dataset.train_samples": [20, 21], "training.epochs": [
        1, 2
    ]}  # fmt: skip
    asked = spec(sweep={"over": over})
    assert named_checkpoints(asked) == ["ckpt_1", "ckpt_2"]
    cards = {"ckpt_1": card("cat", "dog"), "ckpt_2": None}
    assert [place for place, _ in told(experiment_faults(asked, seen("cat", "dog"), cards, CPU))] == [
        "/dataset/train_samples",
        "/training/initial_checkpoint",
    ]


def test_all_faults_are_told_at_once() -> None:
    """One look is enough to mend everything."""
    transfer = {"kind": "transfer", "eps": "8/255", "source": "ckpt_3"}
    asked = spec(
        dataset={"train_samples": 100},
        training={"initial_checkpoint": "ckpt_none", "precision": "tf32"},
        evaluation={"attacks": [AUTO, transfer], "masking": {"sources": ["ckpt_2"]}},
    )
    cards = {"ckpt_none": None, "ckpt_2": card("cat", "cow"), "ckpt_3": card("cat", "dog", image_shape=(1, 32, 32))}
    assert sorted(named_checkpoints(asked)) == sorted(cards)
    faults = told(experiment_faults(asked, seen("cat", "dog"), cards, CPU))
    assert [place for place, _ in faults] == [
        "/dataset/train_samples",
        "/evaluation/attacks/0",
        "/training/precision",
        "/training/initial_checkpoint",
        "/evaluation/attacks/1/source",
        "/evaluation/masking/sources/0",
    ]
    assert faults[3][1] == "There is no checkpoint with the id 'ckpt_none'."
    assert faults[4][1] == "Checkpoint ckpt_3 is for 1 × 32 × 32 images, but the data set is for 3 × 32 × 32 images."
    assert faults[5][1].endswith("differ: only checkpoint ckpt_2 has cow; only the data set has dog.")


@pytest.mark.parametrize(
    ("initial", "message"),
    [
        (card("cat", "dog", architecture=ResNet()), "holds a resnet18 for 3 × 32 × 32 images, but what is trained is"),
        (card("cat", "dog", image_shape=(3, 16, 16)), "holds a cnn for 3 × 16 × 16 images, but"),
        (card("cat", "dog", normalisation=Normalisation(mean=(0,) * 3, std=(1,) * 3)), "normalises its input"),
        (card("cat", "cow"), "only the initial checkpoint has cow; only the data set has dog."),
        (card("dog", "cat"), "in another order, which is cat, dog."),
    ],
)
def test_an_initial_checkpoint_is_of_the_same_model_and_classes(initial: CheckpointCard, message: str) -> None:
    """Its last layer's rows are classes by position, so as many others in their place would mean something else."""
    asked = spec(training={"initial_checkpoint": "ckpt_1"})
    ((pointer, sentence),) = told(experiment_faults(asked, seen("cat", "dog"), {"ckpt_1": initial}, UNKNOWN))
    assert pointer == "/training/initial_checkpoint"
    assert message in sentence


def test_an_initial_checkpoint_may_stand_behind_the_same_normalisation() -> None:
    """An imported network that normalises can be trained on as it is; without, or with others, it would see others."""
    same = Normalisation(mean=(0.5,) * 3, std=(0.25,) * 3)
    behind, plain = card("cat", "dog", normalisation=same), card("cat", "dog")
    asked = spec(training={"initial_checkpoint": "ckpt_1"}, normalisation=same.model_dump(mode="json"))
    assert told(experiment_faults(asked, seen("cat", "dog"), {"ckpt_1": behind}, UNKNOWN)) == []
    ((_, sentence),) = told(experiment_faults(asked, seen("cat", "dog"), {"ckpt_1": plain}, UNKNOWN))
    assert sentence.startswith("The initial checkpoint does not normalise its input, and what is trained normalises")


def test_an_evaluation_is_of_the_classes_that_are_there() -> None:
    """A folder renamed since training shifts every label: it is refused, and the class is named."""
    asked = EvaluationSpec.model_validate({"attacks": [FGSM]})
    cards = {"ckpt_1": card(*"abcd")}
    assert evaluation_faults("ckpt_1", asked, seen(*"abcd"), cards) == ()
    assert evaluation_faults("ckpt_1", asked, None, cards) == ()
    ((pointer, message),) = told(evaluation_faults("ckpt_1", asked, seen(*"bcde"), cards))
    assert pointer == "/checkpoint"
    assert message.endswith("differ: only the checkpoint has a; only the data set has e.")
    gone = DatasetDescription(dataset="image_folder pets", faults=("There is no folder pets.",))
    assert told(evaluation_faults("ckpt_1", asked, gone, cards)) == [("/checkpoint", "There is no folder pets.")]
    assert told(evaluation_faults("ckpt_0", asked, None, {"ckpt_0": None}))[0][0] == "/checkpoint"


def test_examples_are_made_on_models_of_the_same_classes() -> None:
    """As many other classes are not enough: the label that is attacked would be another one on the source."""
    attacks = [FGSM, {"kind": "transfer", "eps": "8/255", "source": "ckpt_2"}, AUTO]
    asked = EvaluationSpec.model_validate({"attacks": attacks, "masking": {"sources": ["ckpt_3"]}})
    cards = {"ckpt_1": card(*"abc"), "ckpt_2": card(*"abd"), "ckpt_3": None}
    faults = told(evaluation_faults("ckpt_1", asked, None, cards))
    assert [place for place, _ in faults] == ["/attacks/2", "/attacks/1/source", "/masking/sources/0"]
    assert "only checkpoint ckpt_2 has d; only the attacked checkpoint has c." in faults[1][1]


def test_a_transfer_matrix_is_of_the_same_classes_and_data() -> None:
    """Each checkpoint is held against its own test images and against the first."""
    request = TransferRequest.model_validate({"checkpoints": ["ckpt_1", "ckpt_2", "ckpt_3"]})
    cards = {"ckpt_1": card(*"ab"), "ckpt_2": card(*"ac"), "ckpt_3": None}
    found = {"ckpt_1": seen(*"ab"), "ckpt_2": seen(*"ab")}
    faults = told(transfer_faults(request, found, cards))
    assert [place for place, _ in faults] == ["/checkpoints/1", "/checkpoints/1", "/checkpoints/2"]
    assert "only the data set has b" in faults[0][1]
    assert "only the first checkpoint has b" in faults[1][1]


def test_an_import_lists_the_classes_that_are_there() -> None:
    """Where its images are not there it may still classify pictures, and is taken."""
    assert import_faults(card("cat", "dog"), seen("cat", "dog")) == ()
    assert import_faults(card("cat", "dog"), None) == ()
    assert import_faults(card("cat", "dog"), DatasetDescription(dataset="pets", faults=("Not there.",))) == ()
    ((pointer, message),) = told(import_faults(card("cat", "cow"), seen("cat", "dog")))
    assert (pointer, "cow" in message) == ("/card/classes", True)


def test_a_job_ends_with_all_faults_in_one_error() -> None:
    """Of the kind of the first; a sentence that two fields share is said once."""
    faults = [
        Fault(kind="attack_unsupported", pointer="/a", message="Too few classes."),
        Fault(kind="dataset_unavailable", pointer="/b", message="Not there."),
        Fault(kind="attack_unsupported", pointer="/c", message="Too few classes."),
    ]
    refuse([])
    with pytest.raises(AttackUnsupported, match=r"^Too few classes\. Not there\.$"):
        refuse(faults)
    with pytest.raises(DatasetUnavailable):
        refuse(faults[1:])
