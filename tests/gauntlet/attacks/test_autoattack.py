import copy
import sys
from fractions import Fraction
from types import FrameType

import pyautoattack
import pytest
import torch
from torch import Tensor, nn

from gauntlet.attacks import autoattack
from gauntlet.attacks.autoattack import AuthoredAttack, parts
from gauntlet.data.datasets import Dataset, to_unit
from gauntlet.models.checkpoints import TrainingState
from gauntlet.spec.evaluations.attacks import AutoAttack, Square
from tests.gauntlet.brief_autoattack import BriefAutoAttack, reference_flags
from tests.gauntlet.examples import CPU, every_device, network, network_with

EPS = Fraction(40, 255)
STANDARD = parts(AutoAttack(eps=EPS))
COUNT = 24


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ensemble's parts take few steps."""
    monkeypatch.setattr(autoattack, "AutoAttack", BriefAutoAttack)


@pytest.fixture
def images(digits: Dataset) -> Tensor:
    return to_unit(digits.test.images[:COUNT])


@pytest.fixture
def labels(digits: Dataset) -> Tensor:
    return digits.test.labels[:COUNT]


def standard(model: nn.Module, eps: Fraction, classes: int = 10) -> AuthoredAttack:
    return AuthoredAttack(model, AutoAttack(eps=eps), classes, next(model.parameters()).device)


def drive(ensemble: AuthoredAttack, state: Tensor, images: Tensor, labels: Tensor) -> list[Tensor]:
    """Robust flags after each part, in batches of five of the survivors, at seed 0."""
    found = []
    for part in STANDARD:
        state = state.clone()
        for batch in state.nonzero().squeeze(1).split(5):
            if not len(batch):  # splitting nothing gives one empty part
                continue
            attacked = ensemble.perturb(part, images[batch], labels[batch], 0)
            assert (attacked - images[batch]).abs().max() <= ensemble._attacks.epsilon + 1e-6
            assert attacked.min() >= 0
            assert attacked.max() <= 1
            state[batch] = ensemble._attacks.model(attacked).argmax(dim=1) == labels[batch]
        found.append(state)
    return found


@pytest.mark.usefixtures("brief")
@every_device
def test_driven_batch_by_batch_the_flags_are_the_packages(
    trained: TrainingState, images: Tensor, labels: Tensor, device: torch.device
) -> None:
    """The same images stay correct as under the package's own loop, where several parts break some and none all."""
    model, images, labels = network_with(trained).to(device), images.to(device), labels.to(device)
    correct = model(images).argmax(dim=1) == labels
    # Trained on another processor it is another network, of which other budgets leave as much to each part.
    for eps in (EPS, *(Fraction(value, 255) for value in (48, 44, 36, 32, 28))):
        stages = drive(standard(model, eps), correct, images, labels)
        counts = [int(stage.sum()) for stage in (correct, *stages)]
        if len(set(counts)) >= 3 and counts[-1] > 5:
            break
    assert len(set(counts)) >= 3
    assert 5 < counts[-1] < counts[0] < COUNT
    assert stages[-1].tolist() == reference_flags(model, images, labels, float(eps), 5)


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("part", STANDARD)
def test_each_part_is_the_packages_attack(trained: TrainingState, images: Tensor, labels: Tensor, part: str) -> None:
    """The images a part makes are bit by bit those of the package's attack of that name at that seed.

    Without AVX-512 torch adds some of a row's last pixels in another way than the others, which is another last bit.
    """
    exact = torch.backends.cpu.get_cpu_capability() == "AVX512"
    model = network_with(trained)
    eps = Fraction(80, 255)
    package = BriefAutoAttack(model, norm="Linf", eps=float(eps), version="custom", attacks=[part], seed=7, device=CPU)
    package.fab.n_target_classes = package.apgd_targeted.n_target_classes = 9
    package.apgd.n_restarts = 1
    wanted, _ = package.run_standard_evaluation(images, labels, batch_size=COUNT)
    broken = (wanted != images).flatten(1).any(dim=1)
    assert broken.any()

    correct = model(images).argmax(dim=1) == labels
    ensemble = standard(model, eps)
    attacked = images.clone()
    attacked[correct] = ensemble.perturb(part, images[correct], labels[correct], 7)
    torch.testing.assert_close(attacked[broken], wanted[broken], rtol=0, atol=0 if exact else 1e-6)
    again = images.clone()
    again[correct] = ensemble.perturb(part, images[correct], labels[correct], 7)
    assert torch.equal(again, attacked)


@pytest.mark.usefixtures("brief")
def test_a_random_part_follows_its_seed(trained: TrainingState, images: Tensor, labels: Tensor) -> None:
    """Another seed starts the random parts elsewhere."""
    ensemble = standard(network_with(trained), Fraction(80, 255))
    for part in ("apgd-ce", "square"):
        first, other = (ensemble.perturb(part, images, labels, seed) for seed in (1, 2))
        assert not torch.equal(first, other)


@pytest.mark.usefixtures("brief")
def test_colour_images_in_channels_last_order_are_attacked() -> None:
    """Memory order makes no difference: flags on RGB images are the package's own on a row-major copy of the model."""
    count = 10
    model = network(shape=(3, 12, 12), seed=0).requires_grad_(requires_grad=False)
    row_major = copy.deepcopy(model).to(memory_format=torch.contiguous_format)
    pixels = torch.randint(256, (count, 3, 12, 12), generator=torch.Generator().manual_seed(0))
    images = to_unit(pixels.to(torch.uint8))
    assert not images.is_contiguous()
    labels = model(images).argmax(dim=1)
    eps = Fraction(2, 255)
    stages = drive(standard(model, eps), torch.ones(count, dtype=torch.bool), images, labels)
    assert 0 < int(stages[-1].sum()) < count
    assert stages[-1].tolist() == reference_flags(row_major, images.contiguous(), labels, float(eps), 5)


@pytest.mark.parametrize("count", [1, 24])
def test_square_finds_what_the_package_does(
    trained: TrainingState, images: Tensor, labels: Tensor, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through squares of every size, more images than are worked on at once, and some that break on the way."""
    monkeypatch.setattr("gauntlet.attacks.square._MOST_PIXELS", 9 * images[0].numel())
    model, images, labels = network_with(trained), images[:count], labels[:count]
    attack = Square(eps=EPS, queries=260)
    attacked = AuthoredAttack(model, attack, 10, CPU).perturb("square", images, labels, 3)
    package = pyautoattack.AutoAttack(model, norm="Linf", eps=float(EPS), seed=3, device=CPU).square
    package.n_queries = attack.queries
    with torch.random.fork_rng(), torch.no_grad():
        wanted = package.perturb(images.contiguous(), labels)
    # Matrix products of a part have other last bits than those of the whole on some processors.
    torch.testing.assert_close(attacked, wanted, rtol=0, atol=1e-6)
    assert count == 1 or 0 < int((attacked != images).flatten(1).any(dim=1).sum()) < count


def test_the_ensemble_is_the_standard_one() -> None:
    """Every parameter of every part is that of the package's standard version, in its order of parts."""
    model = network()
    ours = standard(model, Fraction(8, 255))._attacks
    theirs = pyautoattack.AutoAttack(model, norm="Linf", eps=8 / 255, version="standard", device=CPU)
    assert list(STANDARD) == theirs.attacks_to_run
    assert ours.apgd.n_iter == 100
    assert ours.square.n_queries == 5_000
    for name in ("apgd", "apgd_targeted", "fab", "square"):
        assert _parameters(getattr(ours, name)) == _parameters(getattr(theirs, name))


def _parameters(attack: object) -> dict[str, object]:
    return {name: value for name, value in vars(attack).items() if isinstance(value, bool | int | float | str)}


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("classes", [4, 5])
def test_few_classes_are_all_targets(images: Tensor, classes: int) -> None:
    """With four or five classes the targeted attacks try every wrong one, and the flags are the package's."""
    images = images[:16]
    model, eps = network(classes, seed=1).requires_grad_(requires_grad=False), Fraction(8, 255)
    labels = model(images).argmax(dim=1)
    labels[0] = (labels[0] + 1) % classes
    ensemble = standard(model, eps, classes)
    correct = model(images).argmax(dim=1) == labels
    stages = drive(ensemble, correct, images, labels)
    assert 15 > int(stages[-1].sum()) > 0
    assert stages[-1].tolist() == reference_flags(model, images, labels, float(eps), 5, targets=classes - 1)


@pytest.mark.parametrize(("classes", "targets"), [(4, 3), (5, 4), (10, 9), (43, 9)])
def test_there_are_at_most_nine_targets(classes: int, targets: int) -> None:
    """Nine targets as in the standard version, or every wrong class where there are fewer."""
    attacks = standard(network(classes), EPS, classes)._attacks
    assert (attacks.apgd_targeted.n_target_classes, attacks.fab.n_target_classes) == (targets, targets)


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("part", STANDARD)
def test_the_callers_randomness_is_left_alone(
    trained: TrainingState, images: Tensor, labels: Tensor, part: str
) -> None:
    """The global random state, the images and the weights are as they were, and gradients need not be on."""
    model, original = network_with(trained), images.clone()
    before = torch.get_rng_state()
    attacked = standard(model, EPS).perturb(part, images, labels, 3)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(images, original)
    assert not attacked.requires_grad
    assert all(torch.equal(weights, trained.model[name]) for name, weights in model.state_dict().items())


def test_the_packages_loop_leaves_a_tracer_as_it_was(images: Tensor) -> None:
    """Here, where flags are compared with it; the package itself takes it away."""
    model = network(4, seed=1).requires_grad_(requires_grad=False)
    before, calls = sys.gettrace(), 0

    def mine(_frame: FrameType, _event: str, _value: object) -> None:
        nonlocal calls
        calls += 1

    sys.settrace(mine)
    try:
        reference_flags(model, images[:2], model(images[:2]).argmax(dim=1), 8 / 255, 2, targets=3)
        after = sys.gettrace()
    finally:
        sys.settrace(before)
    assert after is mine
    assert calls > 0
