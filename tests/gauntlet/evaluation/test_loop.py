import random
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from gauntlet.attacks import autoattack
from gauntlet.attacks.gradient import fgsm
from gauntlet.data.datasets import Dataset, ImageSet, to_unit
from gauntlet.errors import AttackUnsupported, OutputNotFinite
from gauntlet.evaluation.loop import evaluate, nominal_cost
from gauntlet.evaluation.stages import Victim, stages_of
from gauntlet.events import BatchAttacked
from gauntlet.models.checkpoints import TrainingState
from gauntlet.spec.evaluations.attacks import AutoAttack, attack_label
from gauntlet.spec.evaluations.evaluation import EvaluationSpec
from tests.gauntlet.brief_autoattack import BriefAutoAttack, reference_flags
from tests.gauntlet.examples import CPU, class_means, network, network_with

FGSM, AUTO = {"kind": "fgsm", "eps": "32/255"}, {"kind": "autoattack", "eps": "48/255"}
pytestmark = pytest.mark.usefixtures("brief")
PARTS = [f"autoattack@48/255:{part}" for part in autoattack.parts(AutoAttack(eps=Fraction(48, 255)))]


def spec(*attacks: dict[str, Any], samples: int = 15, batch_size: int = 5) -> EvaluationSpec:
    return EvaluationSpec.model_validate({"attacks": attacks, "samples": samples, "batch_size": batch_size})


BOTH = spec(FGSM, AUTO)


@pytest.fixture
def model(trained: TrainingState) -> nn.Module:
    return network_with(trained)


@pytest.fixture(scope="module")
def linear(digits: Dataset) -> nn.Module:
    return class_means(digits)


def run(
    model: nn.Module, images: ImageSet, wanted: EvaluationSpec, done: Iterable[BatchAttacked] = ()
) -> list[BatchAttacked]:
    return list(evaluate(model, images, wanted, 10, device=CPU, done=done))


@pytest.fixture(scope="module")
def whole(brief: None, trained: TrainingState, digits: Dataset) -> list[BatchAttacked]:  # noqa: ARG001  # as it is brief
    """What 15 images show of themselves under FGSM and AutoAttack."""
    return run(network_with(trained), digits.test, BOTH)


def flags(batches: Iterable[BatchAttacked], stage: str) -> dict[int, bool]:
    """Position in the test set → still correct, of one stage."""
    found: dict[int, bool] = {}
    for batch in batches:
        if batch.stage == stage:
            assert found.keys().isdisjoint(batch.images)
            found |= dict(zip(batch.images, batch.robust, strict=True))
    return found


def test_every_image_meets_the_natural_pass_and_fgsm(model: nn.Module, digits: Dataset) -> None:
    """Natural and FGSM flags are those of a plain loop over the first `samples` images."""
    batches = run(model, digits.test, spec(FGSM, samples=23))
    test = digits.test.take(23)
    images = to_unit(test.images)
    moved = fgsm(model, images, test.labels, Fraction(32, 255))
    for stage, inputs in (("natural", images), ("fgsm@32/255", moved)):
        wanted = (model(inputs).argmax(dim=1) == test.labels).tolist()
        assert flags(batches, stage) == dict(enumerate(wanted))
        assert 0 < sum(wanted) < 23


def test_autoattack_is_the_references(model: nn.Module, digits: Dataset, whole: list[BatchAttacked]) -> None:
    """The images that survive all parts are those that survive the package's own loop at the same batch size."""
    test = digits.test.take(15)
    wanted = reference_flags(model, to_unit(test.images), test.labels, 48 / 255, 5)
    survivors = {image for image, robust in flags(whole, PARTS[-1]).items() if robust}
    assert survivors == {image for image, robust in enumerate(wanted) if robust}
    assert 0 < len(survivors) < 15


def test_only_survivors_go_on(whole: list[BatchAttacked]) -> None:
    """Each part of AutoAttack is given what the one before left, the first what is classified correctly."""
    before = flags(whole, "natural")
    for part in PARTS:
        given = flags(whole, part)
        assert set(given) == {image for image, robust in before.items() if robust}
        before = given
    assert len(flags(whole, PARTS[-1])) < len(flags(whole, PARTS[0])) <= 15


def test_batches_are_numbered_within_their_stage(whole: list[BatchAttacked]) -> None:
    """A stage's batches count from 0, have the size asked for but the last, and stages come in order."""
    stages = list(dict.fromkeys(batch.stage for batch in whole))
    assert stages == ["natural", "fgsm@32/255", *PARTS]
    for stage in stages:
        mine = [batch for batch in whole if batch.stage == stage]
        assert [batch.batch for batch in mine] == list(range(len(mine)))
        assert all(len(batch.images) == 5 for batch in mine[:-1])
        assert all(type(flag) is bool for batch in mine for flag in batch.robust)


def test_progress_rises_to_its_end(whole: list[BatchAttacked]) -> None:
    """Progress rises with every batch, in the nominal cost of all images, and ends at the total."""
    completed = [batch.completed for batch in whole]
    assert completed == sorted(set(completed))
    assert {batch.total for batch in whole} == {15 * nominal_cost(BOTH.attacks)}
    assert completed[-1] == whole[-1].total


def test_the_nominal_cost_adds_up() -> None:
    """The natural pass and each attack have their cost, and a budget makes no difference."""
    one, both = nominal_cost(spec(FGSM).attacks), nominal_cost(BOTH.attacks)
    none = nominal_cost(())
    assert 0 < none < one
    assert both - one == sum(autoattack.parts(AutoAttack(eps=Fraction(48, 255))).values())
    assert nominal_cost(spec(FGSM, {"kind": "fgsm", "eps": "1/255"}).attacks) == 2 * one - none


def test_a_resumed_evaluation_is_an_uninterrupted_one(model: nn.Module, digits: Dataset) -> None:
    """Stopped between stages or within one, it goes on with just the batches that were missing, and the same.

    Of a network that attacks break by chance: of a linear layer another draw leaves everything as it was.
    """
    wanted = spec(FGSM, AUTO, samples=6, batch_size=3)
    whole = run(model, digits.test, wanted)
    assert len({batch.stage for batch in whole}) == 6 < len(whole)
    cuts = range(0, len(whole) + 1, 3)
    assert {whole[cut - 1].stage == whole[cut].stage for cut in cuts[1:] if cut < len(whole)} == {True, False}
    for cut in cuts:
        assert run(model, digits.test, wanted, done=whole[:cut]) == whole[cut:]


def test_done_batches_may_come_in_any_order(model: nn.Module, digits: Dataset, whole: list[BatchAttacked]) -> None:
    """Whatever batches are done, in whatever order they are told, together with the rest they are the whole."""
    done = random.Random(0).sample(whole, len(whole) // 2)
    rest = run(model, digits.test, BOTH, done=iter(done))
    # Progress counts all that is done from the start.
    assert [replace(batch, completed=0) for batch in rest] == [
        replace(batch, completed=0) for batch in whole if batch not in done
    ]
    assert rest[-1].completed == whole[-1].completed


def test_done_batches_are_taken_as_they_are(model: nn.Module, digits: Dataset) -> None:
    """A batch that is done is not computed again: its flags decide what goes on."""
    positions = tuple(range(15))
    done = [
        BatchAttacked(
            stage="natural",
            batch=0,
            images=positions,
            labels=(1,) * 15,
            predicted=(0,) * 14 + (1,),
            zero_gradient=(False,) * 15,
            completed=0,
            total=0,
        )
    ]
    batches = run(model, digits.test, spec(AUTO, batch_size=15), done=done)
    assert [batch.images for batch in batches if batch.stage == PARTS[0]] == [(14,)]


def test_an_evaluation_repeats_itself(model: nn.Module, digits: Dataset) -> None:
    """Two evaluations agree, whatever the global random state, and leave it as it was."""
    wanted = spec(AUTO, samples=6)
    first = run(model, digits.test, wanted)
    torch.rand(10)
    before = torch.get_rng_state()
    assert run(model, digits.test, wanted) == first
    assert torch.equal(torch.get_rng_state(), before)


def test_there_are_no_more_samples_than_images(model: nn.Module, digits: Dataset) -> None:
    """Asking for more images than the test set has evaluates the test set."""
    batches = run(model, digits.test.take(7), spec(FGSM, samples=1_000))
    assert len(flags(batches, "natural")) == 7
    assert batches[-1].completed == batches[-1].total


def test_an_ensemble_may_break_everything(model: nn.Module, digits: Dataset) -> None:
    """With a budget of the whole range no image survives and no later part is run."""
    everything: dict[str, Any] = {"kind": "autoattack", "eps": 1}
    batches = run(model, digits.test, spec(everything, samples=5))
    natural, first = batches
    assert (natural.stage, first.stage) == ("natural", "autoattack@1:apgd-ce")
    assert any(natural.robust)
    assert not any(first.robust)


def test_autoattack_needs_four_classes(digits: Dataset) -> None:
    """Against too few classes an attack is refused by name, before anything is computed."""
    for attack, fewest in ((AUTO, 4), ({"kind": "apgd-t", "eps": "1/255"}, 4), (AUTO | {"version": "rand"}, 3)):
        few = fewest - 1
        with pytest.raises(AttackUnsupported, match=f"{attack['kind']}.* at least {fewest} classes.* are {few}"):
            next(evaluate(network(few), digits.test, spec(attack), few, device=CPU))


@pytest.mark.parametrize("norm", ["Linf", "L2"])
@pytest.mark.parametrize(
    "kind",
    ["fgsm", "pgd", "apgd-ce", "apgd-t", "fab-t", "square", "noise", "autoattack", "transfer", "mm", "multitargeted"],
)
def test_every_attack_finds_its_images(linear: nn.Module, digits: Dataset, kind: str, norm: str) -> None:
    """Each attack in each norm yields its stages over the same images, and breaks some but for noise."""
    budget = "96/255" if norm == "Linf" else 3
    attack: dict[str, Any] = {"kind": kind, "norm": norm, "eps": budget}
    few: dict[str, Any] = {"steps": 5, "targets": 2}
    options: dict[str, dict[str, Any]] = {
        "pgd": {"steps": 5},
        "mm": few,
        "multitargeted": few,
        "square": {"queries": 100},
        "transfer": {"source": "ckpt_1", "steps": 5},
    }
    attack |= options.get(kind, {})
    wanted = spec(attack, samples=10)
    sources = {"ckpt_1": linear}
    batches = list(evaluate(linear, digits.test, wanted, 10, device=CPU, sources=sources))
    label = attack_label(wanted.attacks[0])
    if kind == "autoattack":
        assert {batch.stage for batch in batches} - {"natural"} <= {f"{label}:{part.split(':')[1]}" for part in PARTS}
    else:
        assert set(flags(batches, label)) == set(range(10))
        broken = sum(flags(batches, "natural").values()) - sum(flags(batches, label).values())
        assert kind in {"noise", "fab-t", "square"} or broken > 0
        assert batches[-1].completed == batches[-1].total


def test_a_protocol_gives_each_part_what_the_one_before_left(linear: nn.Module, digits: Dataset) -> None:
    """Just those; in the end an image withstands if it is right and neither part breaks it by itself."""
    wanted = spec({"kind": "screen", "eps": "16/255"}, batch_size=15)
    batches = run(linear, digits.test, wanted)
    assert [batch.stage for batch in batches] == ["natural", "screen@16/255:pma", "screen@16/255:mm"]
    natural, first, second = (dict(zip(batch.images, batch.robust, strict=True)) for batch in batches)
    assert list(first) == [image for image, right in natural.items() if right]
    assert list(second) == [image for image, right in first.items() if right]
    assert 0 < sum(second.values()) < len(natural)
    alone = run(linear, digits.test, spec({"kind": "mm", "eps": "16/255", "targets": 3, "steps": 10}, batch_size=15))
    by_itself = flags(alone, "mm(targets=3, steps=10)@16/255")
    assert second == {image: by_itself[image] for image in second}
    assert batches[-1].completed == batches[-1].total == 15 * nominal_cost(wanted.attacks)


@pytest.mark.parametrize("kind", ["mm", "pma", "multitargeted"])
def test_an_image_s_batch_says_nothing_of_its_outcome(linear: nn.Module, digits: Dataset, kind: str) -> None:
    """In batches of another size, and among fewer images, each of them has the same outcome."""
    attack = {"kind": kind, "eps": "24/255", "steps": 6}
    many, few = (spec(attack, samples=samples, batch_size=size) for samples, size in ((15, 15), (9, 2)))
    label = attack_label(many.attacks[0])
    of_many, of_few = (flags(run(linear, digits.test, wanted), label) for wanted in (many, few))
    assert of_few == {image: flag for image, flag in of_many.items() if image < 9}
    assert 0 < sum(of_many.values()) < 15


@pytest.mark.parametrize(
    ("version", "wanted"),
    [
        ("plus", ["apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t"]),
        ("rand", ["apgd-ce", "apgd-dlr"]),
    ],
)
def test_other_versions_of_autoattack_are_the_references(
    linear: nn.Module, digits: Dataset, version: str, wanted: list[str]
) -> None:
    """The parts are the package's in its order, and the survivors those of its own loop on the same batches."""
    eps = 24 / 255
    batches = run(linear, digits.test, spec(AUTO | {"eps": "24/255", "version": version}, samples=10))
    label = f"autoattack(version={version})@24/255"
    assert list(dict.fromkeys(b.stage for b in batches))[1:] == [f"{label}:{part}" for part in wanted]
    package = BriefAutoAttack(linear, norm="Linf", eps=eps, version=version, seed=0, device=CPU)
    test = digits.test.take(10)
    _, predicted = package.run_standard_evaluation(to_unit(test.images).contiguous(), test.labels, batch_size=5)
    robust = {int(image) for image in (predicted == test.labels).nonzero()}
    assert {image for image, flag in flags(batches, f"{label}:{wanted[-1]}").items() if flag} == robust


@pytest.mark.parametrize("attack", [{"kind": "square", "queries": 200}, AUTO], ids=["alone", "in AutoAttack"])
def test_square_computes_its_queries_in_windows(model: nn.Module, digits: Dataset, attack: dict[str, Any]) -> None:
    """Only few of its queries go through the whole network, whether it is asked for by itself or as a part."""
    seen = {"images": 0}

    def count(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        seen["images"] += len(given[0])

    wanted = EvaluationSpec.model_validate({"attacks": [{"eps": "8/255"} | attack]}).attacks[0]
    images, labels = to_unit(digits.test.images[:5]), digits.test.labels[:5]
    *_, square = stages_of(wanted, Victim(model, 10, CPU, {}), 0)
    with model.register_forward_pre_hook(count):
        square.perturb(images, labels)
    assert seen["images"] < 50


def test_zero_gradients_are_seen(model: nn.Module, digits: Dataset) -> None:
    """Scaled logits saturate the softmax: where it is certain of the label cross-entropy has no gradient at all."""
    (healthy,) = (b for b in run(model, digits.test, spec(FGSM, batch_size=15)) if b.stage == "natural")
    assert healthy.zero_gradient == (False,) * 15
    scaled = nn.Sequential(model, _Scaled())
    (saturated,) = (b for b in run(scaled, digits.test, spec(FGSM, batch_size=15)) if b.stage == "natural")
    assert saturated.zero_gradient is not None
    assert saturated.predicted == healthy.predicted
    assert saturated.zero_gradient == saturated.robust


class _Scaled(nn.Module):
    def forward(self, logits: Tensor) -> Tensor:
        return logits * 1e4


class _Unsure(nn.Module):
    def forward(self, logits: Tensor) -> Tensor:
        return logits * torch.nan


def test_an_output_that_is_not_a_number_is_no_prediction(model: nn.Module, digits: Dataset) -> None:
    """NaN is not counted as class 0: the evaluation says so and ends."""
    with pytest.raises(OutputNotFinite, match="not a number on an image of stage natural"):
        run(nn.Sequential(model, _Unsure()), digits.test, spec(FGSM))


def test_masking_is_looked_for_on_examples_of_other_models_too(linear: nn.Module, digits: Dataset) -> None:
    """Each source makes a stage on the first images, beside the attacks, which stay what was asked for."""
    wanted = EvaluationSpec.model_validate(
        {"attacks": [FGSM], "samples": 9, "masking": {"samples": 4, "eps_grows_to": 2, "sources": ["ckpt_1"]}}
    )
    sources = {"ckpt_1": linear}
    batches = list(evaluate(linear, digits.test, wanted, 10, device=CPU, sources=sources))
    assert set(flags(batches, "masking/transfer(source=ckpt_1)@32/255")) == set(range(4))
    assert {b.stage for b in batches if not b.stage.startswith("masking/")} == {"natural", "fgsm@32/255"}
    assert batches[-1].completed == batches[-1].total
