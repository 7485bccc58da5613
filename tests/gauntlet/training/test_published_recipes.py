"""A preset's own loop beside one that is written down here from its source, update by update."""

import copy
from collections import OrderedDict
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gauntlet import seeding
from gauntlet.data.datasets import Dataset, ImageSet
from gauntlet.models import architectures
from gauntlet.models.architectures import build_model, initialise, normalised
from gauntlet.models.initialisation import TorchInitialised
from gauntlet.models.residual import _PreActBlock
from gauntlet.spec.experiment import ExperimentSpec, RunSpec
from gauntlet.spec.runs.architectures import PreActResNet, ResNet
from gauntlet.training.epochs import Epochs
from gauntlet.training.steps.augmentation import draw_changes
from tests.gauntlet.examples import CPU, events, states

EPOCHS, IMAGES, BATCH, SIDE = 2, 40, 16, 12


@pytest.fixture(autouse=True)
def one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the place of the presets' networks one of a single block with their layers, begun as they are.

    What a loop does to weights and statistics depends on no more; that the networks are the published ones
    `models/test_architectures.py` holds.
    """
    monkeypatch.setattr(architectures, "_built", lambda _spec, shape, classes: residual(shape[0], classes))


def residual(channels: int, classes: int) -> nn.Module:
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(channels, 8, 3, padding=1, bias=False),
        block=_PreActBlock(8, 16, 2),
        bn=nn.BatchNorm2d(16),
        relu=nn.ReLU(),
        pool=nn.AdaptiveAvgPool2d(1),
        flatten=nn.Flatten(),
        linear=nn.Linear(16, classes),
    )
    return TorchInitialised(layers)


def images() -> ImageSet:
    generator = seeding.generator("cpu", 0, "a recipe's images")
    labels = torch.arange(IMAGES) % 3
    noise = torch.randint(100, (IMAGES, 3, SIDE, SIDE), generator=generator)
    return ImageSet((noise + 70 * labels[:, None, None, None]).to(torch.uint8), labels)


def preset(name: str) -> RunSpec:
    """The preset's run, two epochs long in batches of 16, of which each epoch's last has 8 images."""
    spec = ExperimentSpec.model_validate(
        {
            "preset": name,
            "training": {"epochs": EPOCHS, "batch_size": BATCH, "guard": {"action": "off"}, "compile": "off"},
        }
    )
    ((_, run),) = spec.runs()
    return run


def batches(spec: RunSpec, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Images float32 in [0, 1] and labels, shuffled anew, each cropped from itself with four black pixels around it and
    then flipped or not; the last batch is what is left.
    """
    data = images()
    order = torch.randperm(IMAGES, generator=seeding.generator("cpu", spec.seed, "order", epoch))
    assert spec.training.augmentation is not None
    drawn = draw_changes(spec.training.augmentation, IMAGES, (SIDE, SIDE), seed=spec.seed, epoch=epoch, device=CPU)
    for chosen in order.split(BATCH):
        changed = []
        for place in chosen.tolist():
            top, left = drawn.crops[place].tolist()
            cropped = F.pad(data.images[place], (4, 4, 4, 4))[:, top : top + SIDE, left : left + SIDE]
            changed.append(cropped.flip(-1) if drawn.flips[place] else cropped)
        yield torch.stack(changed).float() / 255, data.labels[chosen]


def as_wong2020_trains(
    spec: RunSpec, *, in_pixels: bool, dtype: torch.dtype = torch.float32
) -> Iterator[dict[str, Tensor]]:
    """The network after each update of Wong et al.'s loop (arXiv 2001.03994, Algorithm 3, and their CIFAR-10 code).

    δ uniform within ε and such that the image stays one; a pass in train mode; δ + α · sign of its gradient, back
    within ε, and such that the image stays one; a second pass in train mode, whose gradient SGD takes: momentum 0.9,
    weight decay 5e-4 of all parameters. CyclicLR from 0 to 0.2 and back, a step after each update, and with it, as it
    does unless it is told not to, the momentum from 0.9 to 0.8 and back.

    In their code the loader normalises images, and their limits, ε = 8/255 and α = 10/255 are divided by the std; with
    `in_pixels` all is in pixels, and the model normalises.
    """
    mean = torch.tensor([0.4914, 0.4822, 0.4465], dtype=dtype).view(3, 1, 1)
    std = torch.tensor([0.2471, 0.2435, 0.2616], dtype=dtype).view(3, 1, 1)
    network = build_model(spec.architecture, (3, SIDE, SIDE), 3)
    initialise(network, spec.seed)
    network.train().to(dtype)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.2, momentum=0.9, weight_decay=5e-4)
    half = EPOCHS * -(-IMAGES // BATCH) // 2
    schedule = torch.optim.lr_scheduler.CyclicLR(optimizer, 0.0, 0.2, step_size_up=half, step_size_down=half)
    unit = torch.ones_like(std) if in_pixels else std
    lower, upper = ((limit - (0 if in_pixels else mean)) / unit for limit in (torch.zeros_like(std), 1))
    eps, alpha = 8 / 255 / unit, 10 / 255 / unit

    def loss(images: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(network((images - mean) / std if in_pixels else images), labels)

    for epoch in range(1, EPOCHS + 1):
        for number, (pixels, y) in enumerate(batches(spec, epoch)):
            x = pixels.to(dtype) if in_pixels else (pixels.to(dtype) - mean) / std
            with seeding.torch_seeded(CPU, seeding.derive(spec.seed, "dropout", epoch, number)):
                # As a channels-last tensor, whose random numbers come in another order.
                drawn = torch.empty_like(pixels, memory_format=torch.channels_last).uniform_(-1, 1)
            delta = torch.max(torch.min(eps * drawn, upper - x), lower - x).requires_grad_()
            (gradient,) = torch.autograd.grad(loss(x + delta, y), delta)
            delta = torch.max(torch.min(delta.detach() + alpha * gradient.sign(), eps), -eps)
            delta = torch.max(torch.min(delta, upper - x), lower - x)
            optimizer.zero_grad()
            loss(x + delta, y).backward()
            optimizer.step()
            schedule.step()
            yield {name: values.clone() for name, values in network.state_dict().items()}


def begun(spec: RunSpec) -> nn.Module:
    """The network as its seed has it, behind the preset's normalisation of its input.

    The normalisation of its batches has seen the images: attacks in eval mode go by that.
    """
    network = build_model(spec.architecture, (3, SIDE, SIDE), 3)
    initialise(network, spec.seed)
    model = normalised(network, spec.normalisation)
    layers = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    # One look counts for all.
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.momentum = 1.0
    with torch.no_grad():
        model(images().images.float() / 255)
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    return model


def as_trades_trains(model: nn.Module, spec: RunSpec) -> Iterator[dict[str, Tensor]]:
    """This network after each update of TRADES (Zhang et al. 2019, Algorithm 1 and Eq. 5, and their code).

    Ten steps of 2/255 along the sign of the gradient of KL(f(x) ‖ f(x′)), in eval mode, from a random start, here
    uniform in the ball; then in train mode f(x), f(x′), and SGD on cross-entropy of the first plus six times the
    divergence of the second. The rate is 0.1, a tenth of it from half of all updates on, and of that from three
    quarters. The model normalises as MAIR's example has it; TRADES' own code does not.
    """
    eps, alpha = 8 / 255, 2 / 255
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    rates = iter([0.1, 0.1, 0.1, 0.01, 0.01, 0.001])
    for epoch in range(1, EPOCHS + 1):
        for number, (x, y) in enumerate(batches(spec, epoch)):
            optimizer.param_groups[0]["lr"] = next(rates)
            model.eval()
            with seeding.torch_seeded(CPU, seeding.derive(spec.seed, "dropout", epoch, number)):
                start = eps * torch.empty_like(x, memory_format=torch.channels_last).uniform_(-1, 1)
            attacked = (x + start).clamp(0, 1)
            natural = F.softmax(model(x), dim=1).detach()
            for _ in range(10):
                attacked.requires_grad_()
                apart = F.kl_div(F.log_softmax(model(attacked), dim=1), natural, reduction="sum")
                (gradient,) = torch.autograd.grad(apart, attacked)
                attacked = attacked.detach() + alpha * gradient.sign()
                attacked = torch.min(torch.max(attacked, x - eps), x + eps).clamp(0, 1)
            model.train()
            optimizer.zero_grad()
            logits = model(x)
            apart = F.kl_div(F.log_softmax(model(attacked), dim=1), F.softmax(logits, dim=1), reduction="batchmean")
            (F.cross_entropy(logits, y) + 6 * apart).backward()
            optimizer.step()
            yield {name: values.clone() for name, values in model.state_dict().items()}


def test_wong2020_trains_as_its_source_says() -> None:
    """After each update all weights, and the statistics of batch normalisation, which both passes are taken into, are
    theirs but for rounding.

    Measured on the third update: without the momentum's cycle or weight decay some would be 7 % of their way apart,
    with a step of 8/255 10, with a cycle that peaks at 0.4 52, with the attack in eval mode all of it, and without the
    normalisation of their input more than twice their way. As it is they are less than 0.001 %.
    """
    spec = preset("wong2020")
    assert spec.architecture == PreActResNet()
    ours = [state.model for state in states(events(spec, Dataset(images(), images(), tuple("abc")), every_state=True))]
    theirs = list(as_wong2020_trains(spec, in_pixels=True))
    assert len(ours) == len(theirs) == 6
    first = build_model(spec.architecture, (3, SIDE, SIDE), 3)
    initialise(first, spec.seed)
    before = first.state_dict()
    assert all(torch.equal(ours[0][name], weights) for name, weights in first.named_parameters()), "Its rate is 0."
    for number, (our, their) in enumerate(zip(ours, theirs, strict=True)):
        assert our.keys() == their.keys()
        for name in their:
            apart = (our[name] - their[name]).float().norm()
            way = (their[name] - before[name]).float().norm()
            assert apart <= 0.01 * way, (number, name)


def test_wong2020_in_pixels_is_wong2020_in_its_own_numbers() -> None:
    """Where images are normalised, in the loader or in the model, changes nothing but rounding, here of float64.

    In float32 a thousandth of the signs may be another on such small images, and much of the gradient with it.
    """
    spec = preset("wong2020")
    both = [as_wong2020_trains(spec, in_pixels=way, dtype=torch.float64) for way in (True, False)]
    for ours, theirs in zip(*both, strict=True):
        for name in theirs:
            torch.testing.assert_close(ours[name], theirs[name], rtol=1e-6, atol=1e-9)


def test_trades_trains_as_its_source_says() -> None:
    """Each update of an epoch from where theirs begins: ten steps along signs make much of rounding.

    Measured: with β = 5 in the place of 6, a step less or steps of 1.9/255 some tensors would be 2 to 4 % of their way
    apart, from no random start 17, with the attack in train mode 85. As it is they are less than 0.003 %.
    """
    spec = preset("trades")
    assert spec.architecture == ResNet()
    model = begun(spec)
    before = {name: values.clone() for name, values in model.state_dict().items()}
    theirs = as_trades_trains(copy.deepcopy(model), spec)
    epochs = Epochs(spec, Dataset(images(), images(), tuple("abc")), model)
    for update in epochs.updates(1, 0):
        model.load_state_dict(before)
        update.do()
        after = next(theirs)
        for name, values in model.state_dict().items():
            way = (after[name] - before[name]).float().norm()
            assert (values - after[name]).float().norm() <= 0.005 * way, (update.number, name)
        before = after
    assert update.number == 3
