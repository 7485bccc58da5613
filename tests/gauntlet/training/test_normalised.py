"""Training behind a normalisation: the network sees (x − mean) / std, and all else sees pixels."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gauntlet import seeding
from gauntlet.data.datasets import Dataset, ImageSet
from gauntlet.events import EpochFinished
from gauntlet.models.architectures import build_model, initialise, normalised, split_head
from gauntlet.models.checkpoints import encode_weights, load_initial_weights, load_model
from gauntlet.spec.checkpoint_card import CheckpointCard, Trained
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.runs.normalisation import Normalisation
from gauntlet.training.loop import build_epochs
from gauntlet.training.steps.adversaries import attack
from tests.gauntlet.examples import CPU, events, finished, run_spec, same_tensors
from tests.smallest import SMALLEST

MEAN, STD = 0.3, 0.2
GREY = {"mean": [MEAN], "std": [STD]}
COLOURS = Normalisation(mean=(0.4914, 0.4822, 0.4465), std=(0.2471, 0.2435, 0.2616))
A2C = {"objective": {"kind": "a2c"}}


def spec_for(**changes: Any) -> RunSpec:
    return run_spec(**{"architecture": SMALLEST, "normalisation": GREY, "training": {"epochs": 1}} | changes)


def network_of(spec: RunSpec) -> nn.Module:
    model = build_model(spec.architecture, (1, 16, 16), 10)
    initialise(model, spec.seed)
    return model


def pixels(count: int, channels: int) -> Tensor:
    return torch.rand(count, channels, 16, 16, generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize("kind", ["cnn", "resnet18"])
def test_logits_and_gradients_are_those_of_the_formula(kind: str) -> None:
    """f((x − μ) / σ) to the bit, and of a pixel the network's own gradient over σ of its channel."""
    network = build_model(run_spec(architecture={"kind": kind}).architecture, (3, 16, 16), 10)
    initialise(network, 0)
    network.eval()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (COLOURS.mean, COLOURS.std))
    images, model = pixels(3, 3).requires_grad_(), normalised(network, COLOURS)
    seen = ((images.detach() - mean) / std).requires_grad_()
    assert not model.training
    assert torch.equal(model(images), network(seen))
    losses = [F.cross_entropy(logits, torch.arange(3), reduction="sum") for logits in (model(images), network(seen))]
    ours, theirs = torch.autograd.grad(losses[0], images)[0], torch.autograd.grad(losses[1], seen)[0]
    torch.testing.assert_close(ours, theirs / std)
    assert list(model.parameters()) == list(network.parameters())


def test_without_one_the_network_is_itself() -> None:
    """Nothing stands in front of it, which costs nothing."""
    network = network_of(spec_for())
    assert normalised(network, None) is network


@pytest.mark.parametrize(
    "adversary",
    [
        {"kind": "fgsm", "eps": "8/255"},
        {"kind": "fgsm_rs", "eps": "8/255"},
        {"kind": "pgd", "eps": "8/255", "steps": 4},
        {"kind": "pgd", "eps": "1/2", "norm": "L2", "steps": 4},
    ],
    ids=["fgsm", "fgsm_rs", "pgd", "pgd-L2"],
)
def test_attacks_stay_within_the_budget_of_pixels(adversary: dict[str, Any]) -> None:
    """‖δ‖ ≤ ε and within [0, 1], of pixels; in the network's own numbers ε would be five times as wide, and is not."""
    spec = spec_for(adversary=adversary)
    model = normalised(network_of(spec).eval(), spec.normalisation)
    images, labels = pixels(8, 1), torch.arange(8)
    eps = float(spec.adversary.eps)
    with seeding.torch_seeded(CPU, 1):
        found = attack(
            spec.adversary,
            model,
            model,
            images,
            labels,
            eps=spec.adversary.eps,
            objective=lambda logits: F.cross_entropy(logits, labels),
        )
    assert 0 <= float(found.min()) <= float(found.max()) <= 1
    moved = (found - images).flatten(1)
    length = moved.abs().amax(dim=1) if spec.adversary.norm == "Linf" else moved.norm(dim=1)
    assert float(length.max()) <= eps * (1 + 1e-5)
    assert float(length.max()) > 0.9 * eps


def standardised(data: Dataset) -> tuple[Tensor, Tensor]:
    assert isinstance(data.train, ImageSet)
    return (data.train.images.float() / 255 - MEAN) / STD, data.train.labels


def test_an_update_is_that_of_the_formula(few: Dataset) -> None:
    """The first update descends the gradient of the network at (x − μ) / σ; the same pixels without are another."""
    training = {"epochs": 1, "batch_size": 72, "optimizer": {"kind": "sgd", "lr": 0.01, "momentum": 0.0}}
    architecture = {"kind": "cnn", "dropout": False}
    spec = spec_for(architecture=architecture, adversary={"kind": "none", "eps": "8/255"}, training=training)
    network = network_of(spec)
    seen, labels = standardised(few)
    start = {name: weights.detach().clone() for name, weights in network.named_parameters()}
    gradients = torch.autograd.grad(F.cross_entropy(network(seen), labels), tuple(network.parameters()))
    trained = finished(spec, few).model
    for (name, weights), gradient in zip(start.items(), gradients, strict=True):
        wanted = weights - 0.01 * (gradient + spec.training.optimizer.weight_decay * weights)
        torch.testing.assert_close(trained[name], wanted, rtol=1e-4, atol=1e-7)
    plain = finished(spec.model_copy(update={"normalisation": None}), few).model
    assert all((trained[name] - plain[name]).abs().max() > 1e-6 for name in start)


@pytest.mark.parametrize("changes", [{}, A2C], ids=["loss", "agent"])
def test_a_checkpoint_is_the_model_that_was_measured(few: Dataset, tmp_path: Path, changes: dict[str, Any]) -> None:
    """Under the network's own names, with the normalisation on its card; loaded it has the run's own accuracy."""
    spec = spec_for(training={"epochs": 1, "averaging": {"keep": "both"}}, **changes)
    told = events(spec, few)
    (epoch,) = (event for event in told if isinstance(event, EpochFinished))
    state = finished(spec, few)
    assert state.model.keys() == state.average.keys() == network_of(spec).state_dict().keys()
    card = CheckpointCard(
        architecture=spec.architecture,
        dataset=spec.dataset,
        classes=few.classes,
        image_shape=(1, 16, 16),
        normalisation=spec.normalisation,
        origin=Trained(spec=spec, epoch=1),
    )
    assert isinstance(few.test, ImageSet)
    images, accuracies = few.test.images.float() / 255, []
    for tensors, prefix in ((state.model, ""), (state.average, "average_")):
        (file := tmp_path / "weights").write_bytes(encode_weights(tensors, card))
        logits = load_model(file, "cpu").model(images)
        right = (logits.argmax(dim=1) == few.test.labels).float().mean()
        assert epoch.metrics[f"{prefix}test_accuracy"] == pytest.approx(float(right))
        accuracies.append(logits)
    assert not torch.equal(*accuracies)
    again = load_initial_weights(file, spec.architecture, (1, 16, 16), 10, spec.normalisation)
    assert same_tensors(again, state.average)


def test_an_agent_learns_behind_it() -> None:
    """Its policy's features begin with the normalisation, and its network is the one that is kept."""
    spec = spec_for(architecture={"kind": "cnn"}, **A2C)
    network = network_of(spec)
    model = normalised(network, spec.normalisation)
    features, head = split_head(model)
    images = pixels(2, 1)
    model.eval()
    assert torch.equal(head(features(images)), model(images))
    few = ImageSet((pixels(12, 1) * 255).to(torch.uint8), torch.arange(12) % 10)
    data = Dataset(few, few, tuple("abcdefghij"))
    before = {name: weights.clone() for name, weights in network.state_dict().items()}
    agent = build_epochs(spec_for(architecture={"kind": "cnn"}, training={"batch_size": 12}, **A2C), data, model)
    for update in agent.updates(1, 0):
        update.do()
    assert all(not torch.equal(weights, before[name]) for name, weights in network.named_parameters())
