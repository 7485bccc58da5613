"""Adversarial training and evaluation as others do them: what our own loop's speed is measured against.

Each function prepares one way and returns a function that makes one pass over the data. All take networks in torch's
own layers and memory layout, and cross-entropy; none is slowed down on purpose.
torchattacks and the Adversarial Robustness Toolbox are imported where they are used: Gauntlet does not depend on them.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from gauntlet.torchvision_ops import declare_missing_operators

_IMAGE_SHAPE = (3, 32, 32)
_CLASSES = 10
_EPS = 8 / 255
_PGD_STEP = 2 / 255

_log = logging.getLogger(__name__)

Perturb = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Recipe:
    """What is trained: a network, its optimiser, and how many steps PGD takes at 8/255; 0 is FGSM."""

    network: Callable[[], nn.Module]
    optimizer: Callable[[nn.Module], torch.optim.Optimizer]
    pgd_steps: int = 0


def naive_training(
    recipe: Recipe, images: Tensor, labels: Tensor, batch_size: int, device: torch.device
) -> Callable[[], int]:
    """Most people's way: a DataLoader, and the FGSM of PyTorch's tutorial, whose backward reaches the weights too.

    PGD is the same in a loop, from a random start.

    Args:
        recipe: network, optimiser and attack.
        images: float32 in [0, 1], [n, 3, 32, 32], on the CPU.
        labels: int64 [n], on the CPU.
        batch_size: images in each step; the last step takes what is left.
        device: where the network is.

    Returns:
        A function that trains one pass over the data and returns the number of images trained.
    """
    model = recipe.network().to(device)

    def perturb(x: Tensor, y: Tensor) -> Tensor:
        return _pgd(model, x, y, recipe.pgd_steps) if recipe.pgd_steps else _fgsm(model, x, y)

    return _training(recipe, model, perturb, images, labels, batch_size, device)


def torchattacks_training(
    recipe: Recipe, images: Tensor, labels: Tensor, batch_size: int, device: torch.device
) -> Callable[[], int]:
    """The way of torchattacks' users: the loop of `naive_training` with their attack; the same arguments."""
    import torchattacks  # a peer, not a dependency

    model = recipe.network().to(device)
    perturb = (
        torchattacks.PGD(model, eps=_EPS, alpha=_PGD_STEP, steps=recipe.pgd_steps)
        if recipe.pgd_steps
        else torchattacks.FGSM(model, eps=_EPS)
    )
    return _training(recipe, model, perturb, images, labels, batch_size, device)


def art_training(
    recipe: Recipe, images: Tensor, labels: Tensor, batch_size: int, device: torch.device
) -> Callable[[], int]:
    """The Adversarial Robustness Toolbox's way: its `AdversarialTrainer`, on arrays; arguments as `naive_training`."""
    from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescent  # a peer, not a dependency
    from art.defences.trainer import AdversarialTrainer
    from art.estimators.classification import PyTorchClassifier

    model = recipe.network().to(device)
    classifier = PyTorchClassifier(
        model=model,
        loss=nn.CrossEntropyLoss(),
        optimizer=recipe.optimizer(model),
        input_shape=_IMAGE_SHAPE,
        nb_classes=_CLASSES,
        clip_values=(0.0, 1.0),
        device_type="gpu" if device.type == "cuda" else "cpu",
    )
    attack = (
        ProjectedGradientDescent(
            classifier,
            eps=_EPS,
            eps_step=_PGD_STEP,
            max_iter=recipe.pgd_steps,
            num_random_init=1,
            batch_size=batch_size,
            verbose=False,
        )
        if recipe.pgd_steps
        else FastGradientMethod(classifier, eps=_EPS, batch_size=batch_size)
    )
    # The default ratio would leave half of each batch as it is.
    trainer = AdversarialTrainer(classifier, attacks=attack, ratio=1.0)
    x, y = images.numpy(), labels.numpy()

    def one_pass() -> int:
        trainer.fit(x, y, batch_size=batch_size, nb_epochs=1)
        return len(x)

    return one_pass


def naive_evaluation(
    images: Tensor, labels: Tensor, batch_size: int, device: torch.device
) -> Callable[[], tuple[float, float]]:
    """Most people's way: for each batch of a DataLoader the natural images, then those of `naive_training`'s FGSM.

    Args:
        images: float32 in [0, 1], [n, 3, 32, 32], on the CPU.
        labels: int64 [n], on the CPU.
        batch_size: images in each batch; the last takes what is left.
        device: where the network is.

    Returns:
        A function that returns an untrained network's (natural, FGSM) accuracies on the data, each in [0, 1].
    """
    model = plain_cnn().to(device).eval()
    loader = DataLoader(TensorDataset(images, labels), batch_size=batch_size)

    def one_pass() -> tuple[float, float]:
        natural = robust = 0.0
        for batch_images, batch_labels in loader:
            x, y = batch_images.to(device), batch_labels.to(device)
            with torch.no_grad():
                natural += _number_right(model(x), y)
            adversarial = _fgsm(model, x, y)
            with torch.no_grad():
                robust += _number_right(model(adversarial), y)
        return natural / len(labels), robust / len(labels)

    return one_pass


def plain_cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding="same"),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Conv2d(32, 64, 3, padding="same"),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(64 * 6 * 6, 512),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(512, _CLASSES),
    )


def plain_resnet18() -> nn.Module:
    """Torchvision's ResNet-18 with the stem that CIFAR-10 is commonly trained with, as most write it."""
    declare_missing_operators()
    from torchvision.models import resnet18

    network: nn.Module = resnet18(num_classes=_CLASSES)
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return network


def rmsprop(model: nn.Module) -> torch.optim.RMSprop:
    """The paper's optimiser, for its network."""
    return torch.optim.RMSprop(model.parameters(), lr=1e-4, alpha=0.9, eps=1e-7)


def sgd(model: nn.Module) -> torch.optim.SGD:
    """What residual networks are trained with; at a small rate, for noise is not to be learnt."""
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)


def _training(
    recipe: Recipe,
    model: nn.Module,
    perturb: Perturb,
    images: Tensor,
    labels: Tensor,
    batch_size: int,
    device: torch.device,
) -> Callable[[], int]:
    loader = DataLoader(TensorDataset(images, labels), batch_size=batch_size, shuffle=True)
    optimizer = recipe.optimizer(model)

    def one_pass() -> int:
        trained, right, loss_sum = 0, 0.0, 0.0
        for batch_images, batch_labels in loader:
            x, y = batch_images.to(device), batch_labels.to(device)
            adversarial = perturb(x, y)
            model.train()
            optimizer.zero_grad()
            logits = model(adversarial)
            loss = F.cross_entropy(logits, y)
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(y)
            right += _number_right(logits, y)
            trained += len(y)
        _log.info("loss %.4f, accuracy %.4f", loss_sum / trained, right / trained)
        return trained

    return one_pass


def _fgsm(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    model.eval()
    inputs = images.clone().detach().requires_grad_()
    loss = F.cross_entropy(model(inputs), labels)
    model.zero_grad()
    loss.backward()
    assert inputs.grad is not None
    return (inputs + _EPS * inputs.grad.sign()).clamp(0, 1).detach()


def _pgd(model: nn.Module, images: Tensor, labels: Tensor, steps: int) -> Tensor:
    model.eval()
    adversarial = (images + torch.empty_like(images).uniform_(-_EPS, _EPS)).clamp(0, 1)
    for _ in range(steps):
        adversarial.requires_grad_()
        loss = F.cross_entropy(model(adversarial), labels)
        model.zero_grad()
        loss.backward()
        assert adversarial.grad is not None
        moved = adversarial.detach() + _PGD_STEP * adversarial.grad.sign()
        adversarial = (images + (moved - images).clamp(-_EPS, _EPS)).clamp(0, 1)
    return adversarial


def _number_right(logits: Tensor, labels: Tensor) -> float:
    return (logits.argmax(1) == labels).sum().item()
