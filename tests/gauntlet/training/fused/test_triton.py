"""Triton's kernels, computed by its interpreter, do what torch's do for a run alone; on a GPU: `test_gpu.py`."""

import logging
import os
from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from gauntlet.data.datasets import Dataset, ImageSet, TrainingImages
from gauntlet.models.architectures import build_model, initialise, normalised
from gauntlet.models.layers import kept_of
from gauntlet.spec.experiment import RunSpec
from gauntlet.spec.runs.architectures import Cnn
from gauntlet.spec.runs.normalisation import Normalisation
from gauntlet.spec.runs.optimizers import RmsProp
from gauntlet.training.epochs import Epochs
from gauntlet.training.fused.network import StackedCnn
from gauntlet.training.fused.program import Program
from gauntlet.training.fused.trial import disagreement
from gauntlet.training.steps.optimizers import build_optimizer, set_learning_rate
from gauntlet.training.updates import Batch, Update
from tests.gauntlet.examples import network as network_of
from tests.gauntlet.examples import run_spec

pytestmark = [pytest.mark.long(seconds=60), pytest.mark.thorough]

if torch.cuda.is_available():
    pytest.skip("where there is a GPU they are compiled", allow_module_level=True)
# Triton looks where it is imported, and again as it begins.
os.environ["TRITON_INTERPRET"] = "1"
try:
    pytest.importorskip("triton")
    from gauntlet.training.fused import features, triton_network
    from gauntlet.training.fused.rmsprop import StackedRmsProp
finally:
    del os.environ["TRITON_INTERPRET"]


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy computes the kernels."""
    monkeypatch.setenv("TRITON_INTERPRET", "1")


POLICY = {"kind": "policy_gradient", "entropy_bonus": 0.1}


def distance(one: Tensor, other: Tensor) -> float:
    """‖one − other‖ / ‖one‖."""
    return float((one.float() - other.float()).norm() / one.float().norm())


def convolved(images: Tensor, parameters: Sequence[Tensor], layers: Any, words: Tensor | None, firsts: Any) -> Tensor:
    """What torch's own layers make of the images [runs, n, c, h, w] of each run."""
    found = []
    for run, own in enumerate(images):
        x = own
        for number, layer in enumerate(layers):
            x = F.relu(F.conv2d(x, parameters[2 * number][run], parameters[2 * number + 1][run], padding=layer.pad))
            if layer.pooled:
                x = F.max_pool2d(x, 2)
            if layer.pooled and words is not None:
                kept = kept_of(words[run, firsts[number // 2] :][: x.numel()], 0.25)
                x = torch.where(kept.view(len(x), *layer.kept, layer.outs).permute(0, 3, 1, 2), x / 0.75, 0)
        found.append(x.flatten(1))
    return torch.stack(found)


@pytest.mark.parametrize("dropped", [False, True])
@pytest.mark.parametrize(("shape", "n"), [((1, 10, 13), 3), ((3, 12, 10), 2)], ids=["grey", "coloured"])
def test_features_and_gradients_are_those_of_torchs_layers(
    shape: tuple[int, int, int], n: int, dropped: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of images and all weights, over several tiles, sides odd and even, last ones that are not full."""
    monkeypatch.setattr(features, "_INTERPRETED", 128)
    torch.manual_seed(0)
    layers = features.layers_of(shape, (32, 32, 64, 64))
    images = torch.rand(2 * n, *shape, requires_grad=True)
    parameters = []
    for layer in layers:
        weight = torch.randn(2, layer.outs, 3, 3, layer.ins) / (3 * layer.ins**0.5)
        parameters += [
            weight.permute(0, 1, 4, 2, 3).requires_grad_(),
            (torch.randn(2, layer.outs) / 9).requires_grad_(),
        ]
    first = layers[1].kept[0] * layers[1].kept[1] * 32 * n
    words = torch.randint(-(2**31), 2**31 - 1, (2, 2 * first), dtype=torch.int32) if dropped else None
    dropping = None if words is None else features.Dropping(words, (0, first), 0.25)
    own = tuple(features.multiplied(weight, torch.float32) for weight in parameters[::2])
    found = features.Features.apply(images, features.Plan(layers, own, "ieee", dropping), *parameters)  # type: ignore[no-untyped-call]  # torch has no type for it
    expected = convolved(images.unflatten(0, (2, n)), parameters, layers, words, (0, first))
    assert distance(expected.detach(), found.detach()) < 1e-5
    back = torch.randn_like(expected)
    for one, other in zip(
        torch.autograd.grad(expected, [images, *parameters], back),
        torch.autograd.grad(found, [images, *parameters], back),
        strict=True,
    ):
        assert distance(one, other) < 1e-5


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # of NumPy
def test_nan_stays_nan() -> None:
    """Through ReLU and pooling, and in its own image only."""
    layers = features.layers_of((1, 10, 10), (32, 32, 64, 64))
    parameters: list[Tensor] = []
    for layer in layers:
        parameters += [torch.ones(1, layer.outs, layer.ins, 3, 3), torch.zeros(1, layer.outs)]
    own = tuple(features.multiplied(weight, torch.float32) for weight in parameters[::2])
    images = torch.rand(2, 1, 10, 10)
    images[1, 0, 4, 4] = torch.nan
    found = features.Features.apply(images, features.Plan(layers, own, "ieee", None), *parameters)  # type: ignore[no-untyped-call]  # torch has no type for it
    assert found[0, 0].isfinite().all()
    assert found[0, 1].isnan().all()


def few(data: Dataset, count: int) -> Dataset:
    """So many digits to learn from and one to measure with, 12 × 11 pixels."""

    def cut(images: TrainingImages, count: int) -> ImageSet:
        some = images.take(count)
        return ImageSet(some.drawn(torch.arange(count))[:, :, 2:14, 2:13].contiguous(), some.labels)

    return Dataset(cut(data.train, count), cut(data.test, 1), data.classes)


def specs_of(**training: Any) -> list[RunSpec]:
    objectives: list[Any] = [{"kind": "cross_entropy"}, POLICY, {"kind": "cross_entropy"}]
    rates = [{"lr": 0.001}, {"lr": 0.002, "weight_decay": 0.01}, {"lr": 0.001}]
    return [
        run_spec(seed=seed, objective=objective, training={"batch_size": 3, "optimizer": rate} | training)
        for seed, (objective, rate) in enumerate(zip(objectives, rates, strict=True))
    ]


def trained(specs: Sequence[RunSpec], data: Dataset) -> list[Epochs]:
    """Of each run what trains it, from its first weights on."""
    found = []
    for spec in specs:
        model = build_model(spec.architecture, data.image_shape, 10)
        initialise(model, spec.seed)
        found.append(Epochs(spec, data, normalised(model, spec.normalisation)))
    return found


def batches(updates: Sequence[Update]) -> list[Batch]:
    found = [update.batch for update in updates]
    assert None not in found
    return found  # type: ignore[return-value]  # as was just said


def test_each_has_the_gradients_that_it_has_alone(digits: Dataset) -> None:
    """A whole step, attack, dropout and both objectives, behind a normalisation: within 1e-5 of their length."""
    behind = {"normalisation": Normalisation(mean=(0.3,), std=(0.2,))}
    data, specs = few(digits, 3), [spec.model_copy(update=behind) for spec in specs_of()[:2]]
    alone = batches([next(epochs.updates(1, 0)) for epochs in trained(specs, data)])
    together = batches([next(epochs.updates(1, 0)) for epochs in trained(specs, data)])
    single = [Program([batch], "torch") for batch in alone]
    program = Program(together, "triton")
    assert program.by_triton
    gradients = program.gradients(*program.inputs(together))
    for place, (one, batch) in enumerate(zip(single, alone, strict=True)):
        for expected, found in zip(one.gradients(*one.inputs([batch])), gradients, strict=True):
            assert distance(expected[0], found[program.order.index(place)]) < 1e-5


@pytest.mark.parametrize("wide", [False, True])
def test_what_is_multiplied_may_be_short(wide: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """In float16, as Triton's interpreter takes bfloat16 for whole numbers: its rounding apart, as in float32.

    So with a row of a window at once, which is for short ones.
    """
    tiled = features.tiled
    monkeypatch.setattr(
        features,
        "tiled",
        lambda kind, layer, *rest: (
            tiled(kind, layer, *rest) | ({"WIDE": wide and layer.ins == 32} if kind == "weight" else {})
        ),
    )
    torch.manual_seed(0)
    layers = features.layers_of((1, 12, 11), (32, 32, 64, 64))
    parameters: list[Tensor] = []
    for layer in layers:
        weight = torch.randn(1, layer.outs, 3, 3, layer.ins) / (3 * layer.ins**0.5)
        parameters += [
            weight.permute(0, 1, 4, 2, 3).requires_grad_(),
            (torch.randn(1, layer.outs) / 9).requires_grad_(),
        ]
    images, ends = torch.rand(3, 1, 12, 11, requires_grad=True), []
    back = torch.randn(1, 3, 64)
    for dtype in (torch.float32, torch.float16):
        own = tuple(features.multiplied(weight, dtype) for weight in parameters[::2])
        found = features.Features.apply(images, features.Plan(layers, own, "ieee", None), *parameters)  # type: ignore[no-untyped-call]  # torch has no type for it
        ends.append([found.detach(), *torch.autograd.grad(found.float(), [images, *parameters], back)])
    assert ends[1][0].dtype == torch.float16
    assert max(distance(one, other) for one, other in zip(*ends, strict=True)) < 0.05


def test_a_run_that_leaves_does_not_disturb_the_others(digits: Dataset) -> None:
    """Two steps of three runs, the second without one of them and with fewer images: the two end where they end alone.

    So do their averages of squares, their counts of updates and their tallies.
    """
    data, specs = few(digits, 5), specs_of()
    alone, together = trained(specs, data), trained(specs, data)
    for epochs in alone:
        for update in epochs.updates(1, 0):
            update.do()
    under_way = [epochs.updates(1, 0) for epochs in together]
    for places in ((0, 1, 2), (0, 2)):
        due = batches([next(under_way[place]) for place in places])
        program = Program(due, "triton")
        program.do(due)
        assert program.by_triton
    for place in (0, 2):
        one, other = alone[place], together[place]
        for expected, state in zip(one.optimizer.state.items(), other.optimizer.state.items(), strict=True):
            # RMSprop's first steps are by signs, so tiny gradients' last bits are seen.
            assert distance(expected[0].detach(), state[0].detach()) < 1e-3
            assert distance(expected[1]["square_avg"], state[1]["square_avg"]) < 1e-4
            assert state[1]["step"] == expected[1]["step"] == 2
        assert other.totals.tolist() == pytest.approx(one.totals.tolist(), rel=1e-4)


@pytest.mark.parametrize(
    ("broken", "said"),
    [(RuntimeError("no such instruction\nat length"), "RuntimeError: no such instruction."), (None, "logits are 1 of")],
)
def test_kernels_that_fail_or_are_wrong_leave_the_step_to_torchs(
    digits: Dataset,
    broken: Exception | None,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The run's log says why, and weights, state and tally are those of a program that never tried."""
    data, specs = few(digits, 3), specs_of()[:2]
    right = triton_network.TritonNetwork.logits

    def wrong(*args: Any, **options: Any) -> Tensor:
        if broken is not None:
            raise broken
        return 2 * right(*args, **options)

    monkeypatch.setattr(triton_network.TritonNetwork, "logits", wrong)
    ends = []
    for kernels in ("torch", "triton"):
        epochs = trained(specs, data)
        due = batches([next(each.updates(1, 0)) for each in epochs])
        program = Program(due, kernels)
        program.do(due)
        assert not program.by_triton
        ends.append([[*each.optimizer.state.keys(), each.totals] for each in epochs])
    for one, other in zip(*ends, strict=True):
        assert all(torch.equal(mine, its) for mine, its in zip(one, other, strict=True))
    (warned,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert said in warned.getMessage()


def test_without_dropout_both_compute_the_same() -> None:
    """A step begins with seeds, as on a GPU, and none is used; with dropout the words of both are drawn of them."""
    images, labels = torch.rand(2, 3, 10, 10), torch.tensor([[1], [2]])
    for dropout in (False, True):
        network = StackedCnn(Cnn(dropout=dropout), [few_network(seed) for seed in (0, 1)])
        assert disagreement(network, "fp32", images, labels, torch.tensor([3, 4])) is None


def few_network(seed: int) -> torch.nn.Module:
    return network_of(seed=seed, shape=(3, 10, 10))


def test_drawn_words_are_each_runs_own() -> None:
    """By its seed alone, wherever it is among the others; as many are kept as the rate says."""
    seeds = torch.tensor([5, 2**62 + 1, 5])
    words = triton_network.drawn(seeds, 20_001)
    assert words.shape == (3, 20_004)
    assert torch.equal(words[0], words[2])
    assert not torch.equal(words[0], words[1])
    assert torch.equal(triton_network.drawn(seeds[1:2], 20_001)[0], words[1])
    assert kept_of(words, 0.25).float().mean(1).tolist() == pytest.approx([0.75] * 3, abs=0.02)


def test_rmsprop_is_torchs_with_each_blocks_constants() -> None:
    """Of two blocks with a rate and a decay each, gradients lying otherwise or in bfloat16, at rates that change."""
    torch.manual_seed(0)
    specs = [RmsProp(lr=0.01), RmsProp(lr=0.1, rho=0.5, epsilon=1e-3, weight_decay=0.1)]
    places, weights = [slice(0, 1), slice(1, 3)], [torch.randn(3, 40, 30), torch.randn(3, 7)]
    squares = [torch.rand_like(weight) for weight in weights]
    expected = [optimizer_of(spec, where, weights, squares) for spec, where in zip(specs, places, strict=True)]
    copies = [[tensor.clone() for tensor in tensors] for tensors in (weights, squares)]
    found = [optimizer_of(spec, where, *copies) for spec, where in zip(specs, places, strict=True)]
    stacked = StackedRmsProp(specs, places, found, *copies)
    for share in (1.0, 0.3):
        gradients = [torch.randn(3, 30, 40).transpose(1, 2), torch.randn(3, 7).bfloat16()]
        for spec, where, optimizer, other in zip(specs, places, expected, found, strict=True):
            set_learning_rate(optimizer, spec.lr * share)
            set_learning_rate(other, spec.lr * share)
            for parameter, gradient in zip(optimizer.state, gradients, strict=True):
                parameter.grad = gradient[where].float().contiguous()
            optimizer.step()
        stacked.step(gradients)
    for one, its in zip([*weights, *squares], [*copies[0], *copies[1]], strict=True):
        assert distance(one, its) < 1e-6
    assert [state["step"].item() for optimizer in found for state in optimizer.state.values()] == [2.0] * 4


def optimizer_of(
    spec: RmsProp, where: slice, weights: Sequence[Tensor], squares: Sequence[Tensor]
) -> torch.optim.Optimizer:
    """Torch's own, of parts of the weights, whose averages are parts of `squares`."""
    optimizer = build_optimizer(spec, torch.nn.ParameterList(weight[where] for weight in weights))
    for state, square in zip(optimizer.state.values(), squares, strict=True):
        state["square_avg"] = square[where]
    return optimizer
