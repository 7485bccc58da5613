"""A model of the caller's own: right numbers or one sentence, and given back as it was."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from gauntlet.attacks import autoattack
from gauntlet.data.datasets import Dataset, ImageSet, to_unit
from gauntlet.errors import AttackUnsupported, GauntletError, ImagesInvalid, ModelUnfit, OutputNotFinite
from gauntlet.evaluation.loop import evaluate
from gauntlet.events import BatchAttacked
from gauntlet.models.checkpoints import TrainingState
from gauntlet.results.outcome import EvaluationOutcome, Measured, summarise
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from tests.gauntlet.brief_autoattack import BriefAutoAttack
from tests.gauntlet.examples import CPU, class_means, network, network_with

COUNT = 12
CLASSES = tuple("0123456789")
FGSM: dict[str, Any] = {"kind": "fgsm", "eps": "48/255"}
_FEW = {"pgd": {"steps": 2}, "square": {"queries": 20}, "noise": {"draws": 2}}
ALL = [
    {"kind": kind, "eps": "48/255"} | _FEW.get(kind, {})
    for kind in ("fgsm", "pgd", "apgd-ce", "apgd-t", "fab-t", "square", "noise")
]


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """AutoAttack takes few steps."""
    monkeypatch.setattr(autoattack, "AutoAttack", BriefAutoAttack)


@pytest.fixture
def model(digits: Dataset) -> nn.Module:
    return class_means(digits)


def spec(*attacks: dict[str, Any], batch_size: int = COUNT) -> EvaluationSpec:
    return EvaluationSpec.model_validate({"attacks": attacks, "samples": COUNT, "batch_size": batch_size})


def run(model: Any, digits: Dataset, wanted: EvaluationSpec) -> list[BatchAttacked]:
    return list(evaluate(model, digits.test, wanted, 10, device=CPU))


def outcome(model: Any, digits: Dataset, wanted: EvaluationSpec) -> EvaluationOutcome:
    return summarise(wanted, run(model, digits, wanted), Measured("", "digits", "", CLASSES))


def kinds(found: EvaluationOutcome) -> list[str]:
    return [finding.kind for finding in found.findings]


class Around(nn.Module):
    """A network with something done to its images or its logits."""

    def __init__(
        self,
        network: nn.Module,
        *,
        before: Callable[[Tensor], Tensor] = lambda images: images,
        after: Callable[[Tensor], Any] = lambda logits: logits,
    ) -> None:
        super().__init__()
        self.network = network
        self.before, self.after = before, after

    def forward(self, images: Tensor) -> Any:
        return self.after(self.network(self.before(images)))


def test_what_is_found_of_a_model_stands_in_its_outcome(model: nn.Module, digits: Dataset) -> None:
    """With the numbers, whether the batches were kept in between or not; and of a sound model there is nothing."""
    assert kinds(outcome(model, digits, spec(FGSM))) == []
    softmax = Around(model, after=lambda logits: logits.softmax(dim=1))
    evaluation = evaluate(softmax, digits.test, spec(FGSM), 10, device=CPU)
    assert [finding.kind for finding in evaluation.findings] == ["probabilities"]
    measured = Measured("", "digits", "", CLASSES)
    assert summarise(spec(FGSM), evaluation, measured).findings == evaluation.findings


def test_an_untrained_model_is_no_better_than_chance(digits: Dataset) -> None:
    assert kinds(outcome(network(), digits, spec(FGSM))) == ["chance_accuracy"]


@pytest.mark.parametrize(
    "after",
    [
        lambda logits: (logits, logits),
        lambda logits: F.pad(logits, (0, 2)),
        lambda logits: logits[:, :9],
        lambda logits: logits[:, :, None, None],
        lambda logits: logits.squeeze(0),
    ],
    ids=["tuple", "12 outputs", "9 outputs", "maps", "squeezed"],
)
def test_what_cannot_be_evaluated_is_told_before_any_attack(
    model: nn.Module, digits: Dataset, after: Callable[[Tensor], Any]
) -> None:
    """The call itself fails, and no batch is asked for."""
    with pytest.raises(ModelUnfit, match=r"\[64, 10\]|\[1, 10\]|logits \[n, classes\] alone"):
        evaluate(Around(model, after=after), digits.test, spec(FGSM), 10, device=CPU)


def test_a_source_of_another_form_is_told_too(model: nn.Module, digits: Dataset) -> None:
    """Examples are made on it, so it must answer with logits as well; and it must be there."""
    transfer = spec({"kind": "transfer", "eps": "8/255", "source": "ckpt_1"})
    for sources, error, said in (
        ({"ckpt_1": Around(model, after=lambda logits: logits[:, :9])}, ModelUnfit, r"\[64, 9\]"),
        ({}, AttackUnsupported, "ckpt_1: the model of each must be among the sources"),
    ):
        with pytest.raises(error, match=said):
            evaluate(model, digits.test, transfer, 10, device=CPU, sources=sources)


def test_labels_and_classes_must_agree(model: nn.Module, digits: Dataset) -> None:
    """A label that no output stands for is told, and so is an empty test set."""
    for images, said in (
        (
            ImageSet(digits.test.images, digits.test.labels + 1),
            "labels are 1 to 10, and those of 10 classes are 0 to 9",
        ),
        (digits.test.take(0), "no image"),
    ):
        with pytest.raises(ImagesInvalid, match=said):
            evaluate(model, images, spec(FGSM), 10, device=CPU)


def test_a_plain_function_and_doubles_are_attacked_as_the_module_is(model: nn.Module, digits: Dataset) -> None:
    """Whoever answers, and in whatever precision it is handed over, the batches are the module's own."""
    batches = run(model, digits, spec(*ALL))
    assert run(model.forward, digits, spec(*ALL)) == batches
    assert run(Around(model, after=lambda logits: logits.double()), digits, spec(*ALL)) == batches


def test_a_model_without_a_gradient_has_numbers_and_says_so(model: nn.Module, digits: Dataset) -> None:
    """Be its graph cut or flat everywhere: no attack can tell one from the other, and every natural image is counted
    as one without a gradient."""
    cut = Around(model, before=lambda images: (images.detach() * 15).round() / 15)
    flat = Around(model, before=lambda images: (images * 15).round() / 15)
    batches = run(cut, digits, spec(*ALL))
    assert run(flat, digits, spec(*ALL)) == batches
    found = summarise(spec(*ALL), batches, Measured("", "digits", "", CLASSES))
    assert kinds(found) == ["zero_gradient"]
    assert found.zero_gradients == COUNT
    fgsm, *_, square, _noise = found.attacks
    assert fgsm.accuracy == found.natural
    assert square.accuracy.value < found.natural.value


class Own(nn.Module):
    """Logits in a tensor of the model's own, the same one at every call."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("bias", torch.arange(10.0))

    def forward(self, images: Tensor) -> Tensor:
        bias: Tensor = self.bias
        return bias.expand(len(images), -1)


def test_an_attack_writes_to_nothing_of_the_models(digits: Dataset) -> None:
    """Square overwrites the logits it is given."""
    constant = Own()
    found = outcome(constant, digits, spec({"kind": "square", "eps": "8/255", "queries": 5}))
    assert constant.bias.tolist() == list(range(10))
    assert found.attacks[0].accuracy == found.natural


def batch_statistics() -> nn.Module:
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(8, track_running_stats=False)
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), norm, nn.ReLU(), nn.Flatten(), nn.Linear(8 * 256, 10))


def test_a_batch_that_matters_is_attacked_whole(digits: Dataset) -> None:
    """FGSM by hand on the whole batch, and Gauntlet's, predict the same of each of 60 images; and it is told."""
    model = batch_statistics()
    images, labels = to_unit(digits.test.images[:60]), digits.test.labels[:60]
    inputs = images.clone().requires_grad_()
    loss = F.cross_entropy(model(inputs), labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, inputs)
    by_hand = model((images + 48 / 255 * gradient.sign()).clamp(0, 1)).argmax(dim=1)
    wanted = EvaluationSpec.model_validate({"attacks": [FGSM], "samples": 60, "batch_size": 60})
    _, attacked = run(model, digits, wanted)
    assert attacked.predicted == tuple(by_hand.tolist())
    assert "batch_dependent" in {finding.kind for finding in attacked.findings}


def states(model: nn.Module) -> Iterator[Any]:
    yield torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_autocast_enabled("cpu")
    yield [module.training for module in model.modules()]
    yield [(parameter.requires_grad, parameter.grad) for parameter in model.parameters()]


@pytest.mark.parametrize(
    "around",
    [
        nullcontext,
        torch.no_grad,
        torch.inference_mode,
        torch.enable_grad,
        lambda: torch.autocast("cpu", torch.bfloat16),
    ],
    ids=["as it is", "no_grad", "inference_mode", "enable_grad", "autocast"],
)
def test_the_model_is_given_back_as_it_was(digits: Dataset, around: Callable[[], AbstractContextManager[None]]) -> None:
    """In train mode, with gradients wanted of some parameters: so it is between any two batches, and the numbers are
    those of the same model in eval mode."""
    wanted = spec(FGSM, {"kind": "fab-t", "eps": "48/255"}, batch_size=6)
    model = nn.Sequential(nn.Dropout(0.25), *class_means(digits))
    expected = run(model.eval(), digits, wanted)
    model.train().requires_grad_()
    model[1].eval()
    next(model.parameters()).requires_grad_(False)
    before = list(states(model))
    with around():
        inside = list(states(model))
        found = []
        for batch in evaluate(model, digits.test, wanted, 10, device=CPU):
            found.append(batch)
            assert list(states(model)) == inside
    assert found == expected
    assert list(states(model)) == before


def test_the_model_is_given_back_after_an_error_too(trained: TrainingState, digits: Dataset) -> None:
    """One of the model's own in the middle of an attack, and an evaluation that is given up."""
    model = network()
    model.load_state_dict(trained.model)
    before = list(states(model.train()))
    evaluation = evaluate(model, digits.test, spec(FGSM), 10, device=CPU)
    next(evaluation)
    hook = model.register_forward_hook(lambda *_: (_ for _ in ()).throw(ZeroDivisionError))
    with pytest.raises(ZeroDivisionError):
        next(evaluation)
    hook.remove()
    assert list(states(model)) == before
    given_up = evaluate(model, digits.test, spec(FGSM), 10, device=CPU)
    next(given_up)
    given_up.close()
    assert list(given_up) == []
    assert list(states(model)) == before


def frozen(model: nn.Module) -> nn.Module:
    return torch.jit.freeze(torch.jit.trace(model, torch.rand(2, 1, 16, 16)))


def lazy(model: nn.Module) -> nn.Module:
    """The network, but that its last layer learns its size from the first batch."""
    *layers, last = model.children()
    late = nn.LazyLinear(10)

    def load(*_: object) -> None:
        late.load_state_dict(last.state_dict())

    late.register_forward_pre_hook(load)
    return nn.Sequential(*layers, late)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("wrap", [frozen, lazy, nn.DataParallel], ids=lambda wrap: wrap.__name__)
def test_unusual_modules_are_modules_too(
    model: nn.Module, digits: Dataset, wrap: Callable[[nn.Module], nn.Module]
) -> None:
    """A frozen script, which has no mode; a module whose parameters are not made yet; one on several devices."""
    wanted = spec(FGSM)
    assert [b.predicted for b in run(wrap(model), digits, wanted)] == [b.predicted for b in run(model, digits, wanted)]


def test_weights_made_in_inference_mode_are_told(digits: Dataset) -> None:
    """No gradient can go through them, as torch says."""
    with torch.inference_mode():
        model = nn.Sequential(nn.Flatten(), nn.Linear(256, 10))
    with pytest.raises(ModelUnfit, match="Inference tensors cannot be saved for backward"):
        run(model, digits, spec(FGSM))


def test_a_device_may_be_named_and_a_test_set_must_be_one(model: nn.Module, digits: Dataset) -> None:
    """What is passed where an image set belongs is told apart, and how to make one."""
    assert list(evaluate(model, digits.test, spec(FGSM), 10, device="cpu")) == run(model, digits, spec(FGSM))
    pair: Any = (digits.test.images / 255, digits.test.labels)
    with pytest.raises(ImagesInvalid, match=r"this is a tuple: ImageSet\.of\(images, labels\)"):
        evaluate(model, pair, spec(FGSM), 10, device=CPU)


def test_a_function_learns_nothing(trained: TrainingState, digits: Dataset) -> None:
    """No gradient is left in the parameters of a network that a function closes over, though they want one."""
    network_ = network()
    network_.load_state_dict(trained.model)
    run(network_.forward, digits, spec(FGSM, {"kind": "fab-t", "eps": "8/255"}))
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network_.parameters())


def test_the_first_look_draws_nothing(model: nn.Module, digits: Dataset) -> None:
    """A model that answers at random is looked at, and the caller's random state is what it was."""
    before = torch.get_rng_state()
    noisy = Around(model, after=lambda logits: logits + torch.rand_like(logits))
    found = evaluate(noisy, digits.test, spec(FGSM), 10, device=CPU)
    assert [finding.kind for finding in found.findings] == ["random_output"]
    assert torch.equal(torch.get_rng_state(), before)


class LongerAutoAttack(BriefAutoAttack):
    """With steps enough for a gradient that is lost to make a difference."""

    def __init__(self, model: nn.Module, **options: object) -> None:
        super().__init__(model, **options)
        self.apgd.n_iter = self.fab.n_iter = 10
        self.fab.n_target_classes = 2


@pytest.mark.parametrize("kind", ["apgd-ce", "fab-t"])
def test_autoattacks_parts_find_the_same_at_every_small_scale(
    trained: TrainingState, digits: Dataset, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logits times 2⁻²⁰ or 2⁻⁶⁰ have the same decision boundary, and it is found; that they are small is told."""
    monkeypatch.setattr(autoattack, "AutoAttack", LongerAutoAttack)
    model, wanted = network_with(trained), spec({"kind": kind, "norm": "L2", "eps": 2})
    scaled = [Around(model, after=lambda logits, p=power: logits * 2.0**-p) for power in (20, 60)]
    first, second = (outcome(network, digits, wanted) for network in scaled)
    assert kinds(first) == kinds(second) == ["small_logits"]
    assert first.attacks == second.attacks
    unscaled = outcome(model, digits, wanted)
    assert first.natural == unscaled.natural
    assert first.attacks[0].accuracy.value <= unscaled.attacks[0].accuracy.value < unscaled.natural.value


def test_numbers_that_are_none_are_told_at_once(model: nn.Module, digits: Dataset) -> None:
    with pytest.raises(OutputNotFinite):
        evaluate(Around(model, after=lambda logits: logits / 0), digits.test, spec(FGSM), 10, device=CPU)
    assert issubclass(ModelUnfit, GauntletError)
