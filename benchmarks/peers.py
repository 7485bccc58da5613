"""FGSM adversarial training and evaluation as others do them: what our own loop's speed is measured against.

Each function prepares one way and returns a function that makes one pass over the data. All take the paper's network
in torch's own layers and memory layout, cross-entropy, and RMSprop with the paper's settings; none is slowed down on
purpose.
torchattacks and the Adversarial Robustness Toolbox are imported where they are used: Gauntlet does not depend on them.
"""

import logging
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

_IMAGE_SHAPE = (3, 32, 32)
_CLASSES = 10
_EPS = 8 / 255

_log = logging.getLogger(__name__)

Perturb = Callable[[Tensor, Tensor], Tensor]


def naive_training(images: Tensor, labels: Tensor, batch_size: int, device: torch.device) -> Callable[[], int]:
    """Most people's way: a DataLoader, and the FGSM of PyTorch's tutorial, whose backward reaches the weights too.

    Args:
        images: float32 in [0, 1], [n, 3, 32, 32], on the CPU.
        labels: int64 [n], on the CPU.
        batch_size: images in each step; the last step takes what is left.
        device: where the network is.

    Returns:
        A function that trains one pass over the data and returns the number of images trained.
    """
    model = plain_cnn().to(device)
    return _training(model, lambda x, y: _fgsm(model, x, y), images, labels, batch_size, device)


def torchattacks_training(images: Tensor, labels: Tensor, batch_size: int, device: torch.device) -> Callable[[], int]:
    """The way of torchattacks' users: the loop of `naive_training` with `torchattacks.FGSM`; the same arguments."""
    import torchattacks  # a peer, not a dependency

    model = plain_cnn().to(device)
    return _training(model, torchattacks.FGSM(model, eps=_EPS), images, labels, batch_size, device)


def art_training(images: Tensor, labels: Tensor, batch_size: int, device: torch.device) -> Callable[[], int]:
    """The Adversarial Robustness Toolbox's way: its `AdversarialTrainer`, on arrays; arguments as `naive_training`."""
    from art.attacks.evasion import FastGradientMethod  # a peer, not a dependency
    from art.defences.trainer import AdversarialTrainer
    from art.estimators.classification import PyTorchClassifier

    model = plain_cnn().to(device)
    classifier = PyTorchClassifier(
        model=model,
        loss=nn.CrossEntropyLoss(),
        optimizer=_rmsprop(model),
        input_shape=_IMAGE_SHAPE,
        nb_classes=_CLASSES,
        clip_values=(0.0, 1.0),
        device_type="gpu" if device.type == "cuda" else "cpu",
    )
    attack = FastGradientMethod(classifier, eps=_EPS, batch_size=batch_size)
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


def _training(
    model: nn.Module, perturb: Perturb, images: Tensor, labels: Tensor, batch_size: int, device: torch.device
) -> Callable[[], int]:
    loader = DataLoader(TensorDataset(images, labels), batch_size=batch_size, shuffle=True)
    optimizer = _rmsprop(model)

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


def _rmsprop(model: nn.Module) -> torch.optim.RMSprop:
    return torch.optim.RMSprop(model.parameters(), lr=1e-4, alpha=0.9, eps=1e-7)


def _number_right(logits: Tensor, labels: Tensor) -> float:
    return (logits.argmax(1) == labels).sum().item()
