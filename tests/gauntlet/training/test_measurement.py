from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gauntlet.attacks.gradient import fgsm
from gauntlet.data.datasets import Dataset, ImageSet, to_unit
from gauntlet.models.architectures import initialise
from gauntlet.models.checkpoints import TrainingState
from gauntlet.training.measurement import Measurement, batches_of, build_probe, compiled_probe, natural_accuracy
from tests.gauntlet.examples import measured, needs_compiler, network, network_with

EPS = Fraction(32, 255)


@pytest.fixture
def model(trained: TrainingState) -> nn.Module:
    return network_with(trained)


def naive(model: nn.Module, images: Tensor, labels: Tensor, eps: Fraction) -> Measurement:
    """Image by image, in plain Python."""
    right, right_attacked, confidence, uniformity, classes, lowered = 0, 0, 0.0, 0.0, set(), 0
    for image, label in zip(images, labels, strict=True):
        attacked = fgsm(model, image[None], label[None], eps)
        right_attacked += int(model(attacked).argmax()) == int(label)
        probabilities = model(image[None]).detach()[0].double().softmax(dim=0).tolist()
        lowered += int(F.cross_entropy(model(attacked), label[None]) < F.cross_entropy(model(image[None]), label[None]))
        predicted = probabilities.index(max(probabilities))
        right += predicted == int(label)
        confidence += max(probabilities)
        uniformity += min(probabilities) / max(probabilities)
        classes.add(predicted)
    count = len(labels)
    shares = right / count, right_attacked / count, confidence / count, uniformity / count
    return Measurement(*shares, len(classes), lowered / count)


@pytest.mark.parametrize("eps", [Fraction(0), Fraction(24, 255)], ids=str)
def test_measuring_is_counting(model: nn.Module, digits: Dataset, eps: Fraction) -> None:
    """Accuracies, confidence, uniformity and the number of classes equal a plain count, over several batches."""
    test = digits.test.take(80)
    wanted, found = naive(model, to_unit(test.images), test.labels, eps), measured(model, test, eps=eps)
    assert found.accuracy == wanted.accuracy == natural_accuracy(model, test)
    assert found.fgsm_accuracy == wanted.fgsm_accuracy
    assert found.mean_confidence == pytest.approx(wanted.mean_confidence, abs=1e-5)
    assert found.mean_uniformity == pytest.approx(wanted.mean_uniformity, abs=1e-5)
    assert found.predicted_classes == wanted.predicted_classes
    assert found.lowered_loss == pytest.approx(wanted.lowered_loss, abs=1.5 / len(test))
    assert 0.1 < found.accuracy < 1


@needs_compiler
@pytest.mark.long(seconds=8, shares="compiler")
@pytest.mark.thorough
def test_a_compiled_probe_finds_what_the_plain_one_does(digits: Dataset) -> None:
    """The same logits, natural and attacked, but for rounding; only batches of as many as are measured at once are
    compiled.
    """
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Dropout(0.25), nn.Linear(2 * 14 * 14, 10))
    initialise(model, 3)
    plain = build_probe(model.eval(), EPS)
    fast = compiled_probe(plain)
    before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    for count in (63, 64):
        images = digits.test.take(count)
        found, wanted = (probe(images.images, images.labels) for probe in (fast, plain))
        for one, other in zip(found, wanted, strict=True):
            assert torch.allclose(one, other, rtol=0, atol=1e-5)
        assert not torch.allclose(*wanted, rtol=0, atol=1e-2)
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == before + (count == 64)


def test_an_attack_lowers_the_measured_accuracy(model: nn.Module, digits: Dataset) -> None:
    """Accuracy under FGSM falls with its budget, and a budget of zero changes nothing."""
    none, small, large = (measured(model, digits.test, eps=Fraction(level, 255)) for level in (0, 16, 64))
    assert none.fgsm_accuracy == none.accuracy == small.accuracy
    assert none.accuracy > small.fgsm_accuracy > large.fgsm_accuracy


def test_measuring_in_bf16_is_nearly_the_same(model: nn.Module, digits: Dataset) -> None:
    """In bf16 some confidences differ and few predictions do."""
    test = digits.test.take(100)
    exact = measured(model, test, eps=EPS)
    rounded = measured(model, test, eps=EPS, precision="bf16")
    assert rounded.mean_confidence != exact.mean_confidence
    assert rounded.accuracy == pytest.approx(exact.accuracy, abs=0.02)
    assert rounded.fgsm_accuracy == pytest.approx(exact.fgsm_accuracy, abs=0.04)
    assert natural_accuracy(model, test, precision="bf16") == rounded.accuracy


def test_a_uniform_output_is_seen(digits: Dataset) -> None:
    """A model that knows nothing has uniformity 1, confidence 1/10 and predicts one class."""
    model = network()
    for parameter in model.parameters():
        parameter.data.zero_()
    found = measured(model, digits.test, eps=EPS)
    assert found.mean_uniformity == pytest.approx(1)
    assert found.mean_confidence == pytest.approx(0.1)
    assert found.predicted_classes == 1


@pytest.mark.parametrize("training", [True, False])
def test_measuring_is_done_without_dropout(model: nn.Module, digits: Dataset, *, training: bool) -> None:
    """Measuring uses eval mode and leaves the model in the mode it was in."""
    wanted = measured(model.eval(), digits.test.take(40), eps=EPS)
    assert measured(model.train(training), digits.test.take(40), eps=EPS) == wanted
    assert model.training is training


@pytest.mark.parametrize(("side", "batches"), [(32, 2), (64, 2), (128, 5), (256, 17)])
def test_large_images_are_measured_in_smaller_batches(side: int, batches: int) -> None:
    """65 images: 64 at once up to 64 × 64 pixels, 16 and 4 of four and sixteen times as many."""
    images = ImageSet(torch.zeros(65, 1, 1, 1, dtype=torch.uint8).expand(65, 3, side, side), torch.zeros(65).long())
    assert batches_of(images) == batches
