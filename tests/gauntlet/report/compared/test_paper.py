"""Our numbers beside published ones."""

from typing import Any

import pytest

from gauntlet.report.compared.published import ANCHORS, PAPER
from gauntlet.spec.eps import parse_eps
from tests.reports import CIFAR10, made_up


def test_the_papers_numbers_stand_beside_ours() -> None:
    """Each line finds the paper's: the best RL 220 and CE 60, the last both 220, one without FGSM."""
    report = made_up({"evaluation": {"select": ["best_fgsm", "last"]}})
    assert report.paper is not None
    assert report.paper.same_dataset
    found = {(row.objective, row.selection): row for row in report.paper.rows}
    assert {key: row.published.name for key, row in found.items()} == {
        ("cross_entropy", "best_fgsm"): "CE, epoch 60",
        ("cross_entropy", "last"): "CE, epoch 220",
        ("policy_gradient", "best_fgsm"): "RL, epoch 220",
        ("policy_gradient", "last"): "RL, epoch 220",
    }
    best = found["policy_gradient", "best_fgsm"]
    ours = report.summaries[2]
    assert (ours.objective, ours.selection) == ("policy_gradient", "best_fgsm")
    assert best.natural is not None
    assert best.natural.difference_points == pytest.approx(100 * ours.natural_accuracy.mean - 52.85)
    assert best.autoattack is not None
    assert (best.autoattack.ours, best.autoattack.published) == (ours.accuracies["autoattack@8/255"], 0.3041)
    assert best.fgsm is not None
    assert (best.fgsm.ours, best.fgsm.published) == (ours.accuracies["fgsm@8/255"], 0.3766)
    assert found["cross_entropy", "last"].fgsm is None


def test_what_differs_from_the_paper_is_named() -> None:
    """Fewer epochs, images and checkpoints to choose among are departures; so is another data set of the same shape."""
    report = made_up()
    assert report.paper is not None
    assert report.paper.departures == (
        "Training is for 12 epochs, not 220.",
        "Accuracies are of 500 test images, not 10,000.",
        "training.checkpoint_every is 2, not 20.",
    )
    other = made_up(
        {
            "training": {"batch_size": 512},
            "adversary": {"mode": "train"},
            "normalisation": {"mean": [0.5] * 3, "std": [0.25] * 3},
            "objectives": [{"kind": "cross_entropy"}, {"kind": "policy_gradient"}, {"kind": "trades", "beta": 2}],
        }
    )
    assert other.paper is not None
    assert {
        "training.batch_size is 512, not 128.",
        "Images are normalised in front of the network, of which the paper says nothing.",
        "adversary.mode is train, not eval.",
        "policy gradient departs from the preset: action sample, baseline none.",
        "TRADES departs from the preset: beta = 2.",
    } <= set(other.paper.departures)
    sparser = made_up(
        {
            "architecture": {"dropout": False},
            "training": {
                "checkpoint_every": 3,
                "initial_checkpoint": "ckpt_1",
                "optimizer": {"kind": "sgd", "lr": 0.1, "momentum": 0.9},
            },
            "evaluation": {"select_on": "validation"},
        }
    )
    assert sparser.paper is not None
    assert {
        "training.checkpoint_every is 3, not 20.",
        "Training is on 45,000 images, not 50,000.",
        "The network has no dropout.",
        "Training starts from another checkpoint's weights.",
        "The best checkpoint was selected on held-out training images; the paper selected on the test set.",
    } <= set(sparser.paper.departures)
    (optimizer,) = (one for one in sparser.paper.departures if one.startswith("training.optimizer "))
    assert optimizer.startswith("training.optimizer is kind sgd, lr 0.1, momentum 0.9, ")
    assert ", not kind rmsprop, lr 0.0001, " in optimizer


def test_a_sweep_is_not_held_against_the_paper() -> None:
    """Each of its trials is another spec, and none of them the one that would be compared."""
    report = made_up({"sweep": {"over": {"training.optimizer.lr": [1e-4, 1e-3]}}})
    assert report.paper is None
    # Each trial is an objective of its report, and what they are compared with is the first.
    assert report.objectives == tuple(dict.fromkeys(row.objective for row in report.rows))
    assert len({one.objective for one in report.comparisons}) == 3


def test_copies_of_cifar10_are_held_against_the_paper_as_copies() -> None:
    """A folder that is called so and has all ten classes; it is said that they are copies."""
    copies = made_up({"dataset": {"name": "image_folder", "folder": "CIFAR-10_png"}})
    assert copies.paper is not None
    assert not copies.paper.same_dataset
    told = "The data set is image_folder CIFAR-10_png: copies of CIFAR-10, by the names of its classes."
    assert copies.paper.departures[0] == told


@pytest.mark.parametrize(("title", "compared"), [("CIFAR 10, as PNG", True), ("pets", False), (None, False)])
def test_an_uploaded_copy_is_known_by_its_title(title: str | None, compared: bool) -> None:
    """As a folder is by its name; one row is enough to know its classes."""
    changes = {"dataset": {"name": "uploaded", "id": "dset_01", "title": title}}
    assert (made_up(changes, rows=made_up(changes).rows[:1]).paper is not None) == compared


@pytest.mark.parametrize("changed", [{"image_size": 64}, {"channels": "grey"}])
def test_copies_at_another_size_are_not_held_against_the_paper(changed: dict[str, Any]) -> None:
    """Whatever they are called, the paper's network saw 32×32 pixels in colours."""
    assert made_up({"dataset": {"name": "image_folder", "folder": "cifar10"} | changed}).paper is None


@pytest.mark.parametrize(
    ("folder", "classes"),
    [
        ("pets", ("cat", "dog", "fish", "hamster", "parrot")),
        ("cifar10", ("cat", "dog", "fish", "hamster", "parrot")),
        ("cinic-10", CIFAR10),
    ],
    ids=["pets", "pets under its name", "its classes under another name"],
)
def test_other_pictures_of_that_size_are_not_held_against_the_paper(folder: str, classes: tuple[str, ...]) -> None:
    """32×32 pixels, the paper's network and budget make no CIFAR-10."""
    assert made_up({"dataset": {"name": "image_folder", "folder": folder}}, classes=classes).paper is None


def test_copies_are_not_known_before_something_is_measured() -> None:
    """Without a row nobody knows a folder's classes."""
    assert made_up({"dataset": {"name": "image_folder", "folder": "cifar10"}}, rows=()).paper is None


@pytest.mark.parametrize(
    "changes",
    [{"dataset": {"name": "digits"}}, {"adversary": {"eps": "4/255"}}, {"adversary": {"eps": 0.031}}],
    ids=["digits", "half the budget", "nearly the budget"],
)
def test_another_experiment_is_not_held_against_the_paper(changes: dict[str, Any]) -> None:
    """Other images or another adversary are no reproduction: there is no comparison."""
    assert made_up(changes).paper is None


def test_an_accuracy_at_another_budget_is_not_held_against_the_papers() -> None:
    """Where the column shows another budget than 8/255, or not AutoAttack's standard, only natural accuracy stays."""
    attacks = [{"kind": "fgsm", "eps": "4/255"}, {"kind": "autoattack", "eps": "8/255", "version": "rand"}]
    report = made_up({"evaluation": {"attacks": attacks}})
    assert report.paper is not None
    for row in report.paper.rows:
        assert row.natural is not None
        assert (row.fgsm, row.autoattack) == (None, None)


def test_published_numbers_are_fractions_with_a_source() -> None:
    """Anchors are ordered by robust accuracy, each with a budget that can be read."""
    for published in (*ANCHORS, *PAPER.values()):
        assert published.source
        assert parse_eps(published.eps) > 0
        assert all(value is None or 0 <= value < 1 for value in (published.natural, published.fgsm, published.robust))
    robust = [anchor.robust for anchor in ANCHORS if anchor.robust is not None]
    assert robust == sorted(robust)
    assert len({anchor.name for anchor in ANCHORS}) == len(ANCHORS)
