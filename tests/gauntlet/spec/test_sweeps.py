"""Fields that take several values, and the trials they come to."""

from typing import Any

import pytest
from pydantic import ValidationError

from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.presets import QUICKSTART, overlay
from gauntlet.spec.sweeps import Sweep

LR, BATCH = "training.optimizer.lr", "training.batch_size"


def experiment(sweep: dict[str, Any], **changes: Any) -> ExperimentSpec:
    return ExperimentSpec.model_validate(overlay(QUICKSTART, changes | {"sweep": sweep}))


def told(sweep: dict[str, Any], **changes: Any) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        experiment(sweep, **changes).planned()
    return [("/".join(map(str, error["loc"])), error["msg"]) for error in caught.value.errors()]


def values(sweep: dict[str, Any]) -> list[dict[str, Any]]:
    """Of each trial, in order."""
    return [each.trial.values for each in experiment(sweep).planned()[::2] if each.trial]


def test_a_grid_has_all_combinations_in_the_order_of_its_lists() -> None:
    """With every objective and seed; each run is what its values say, and is called after them."""
    planned = experiment({"over": {LR: [1e-3, 1e-2], BATCH: [16, 32]}}, seeds=[0, 1]).planned()
    kinds = ("cross_entropy", "policy_gradient")
    assert [(each.trial and each.trial.number, each.run.objective.kind, each.run.seed) for each in planned] == [
        (number, kind, seed) for number in range(4) for kind in kinds for seed in (0, 1)
    ]
    trained = [each.run.training for each in planned[::4]]
    assert [(training.optimizer.lr, training.batch_size) for training in trained] == [
        (1e-3, 16), (1e-3, 32), (1e-2, 16), (1e-2, 32)
    ]  # fmt: skip
    assert planned[0].label == "cross-entropy, lr = 0.001, batch size = 16"
    assert planned[-1].label == "policy gradient, lr = 0.01, batch size = 32"
    assert len({(each.label, each.run.seed) for each in planned}) == 16


def test_values_that_agree_in_six_digits_are_called_otherwise() -> None:
    """Runs of one name would be taken for seeds of one trial."""
    planned = experiment({"over": {LR: [1e-3, 0.0010000001]}}, seeds=[0]).planned()
    assert {each.label.partition(", ")[2] for each in planned} == {"lr = 0.001", "lr = 0.0010000001"}


def test_objects_of_the_same_values_are_called_otherwise() -> None:
    """Five steps and five restarts are two adversaries, each told by its fields."""
    pgd = {"kind": "pgd", "eps": "8/255"}
    over = {"adversary": [pgd | {"steps": 5}, pgd | {"restarts": 5}], "objectives.1.reward": [{"wrong": 0.0}, {}]}
    planned = experiment({"over": over}, seeds=[0]).planned()
    assert len({each.label for each in planned}) == len(planned) == 8
    assert planned[0].label == "cross-entropy, adversary = pgd eps 8/255 steps 5, reward = wrong 0"


def test_what_is_drawn_is_of_the_sweeps_seed_alone() -> None:
    """Within the range, of four digits; whole numbers are whole."""
    over = {LR: {"low": 1e-4, "high": 1e-1, "log": True}, BATCH: {"low": 8, "high": 64, "whole": True}}
    first, again, other = (values({"method": "random", "trials": 20, "over": over, "seed": seed}) for seed in (1, 1, 2))
    assert first == again != other
    rates, batches = ([each[field] for each in first] for field in (LR, BATCH))
    assert len(rates) == len(set(rates)) == 20
    assert all(1e-4 <= rate <= 1e-1 and rate == float(f"{rate:.4g}") for rate in rates)
    # Evenly by the logarithm: a third of them in each decade, within what 20 draws may depart by.
    assert 2 <= sum(rate < 1e-3 for rate in rates) <= 12
    assert all(isinstance(batch, int) and 8 <= batch <= 64 for batch in batches)


def test_what_is_drawn_twice_is_made_once() -> None:
    """Of two values there are two trials, however many are drawn."""
    drawn = values({"method": "random", "trials": 20, "over": {BATCH: [16, 32]}})
    assert sorted(each[BATCH] for each in drawn) == [16, 32]


def test_an_object_is_laid_over_one_of_its_kind() -> None:
    """As in a preset; and one of another kind takes its place. Fields of one objective are its own."""
    kinds = [{"kind": "rmsprop", "lr": 1e-3}, {"kind": "sgd", "lr": 0.1}]
    planned = experiment({"over": {"training.optimizer": kinds}}).planned()[::2]
    rms, sgd = (each.run.training.optimizer.model_dump() for each in planned)
    assert (rms["kind"], rms["lr"], rms["decay"]) == ("rmsprop", 1e-3, 1e-6)
    assert (sgd["kind"], sgd["lr"], sgd["momentum"]) == ("sgd", 0.1, 0.9)
    swept = experiment({"over": {"objectives.1.entropy_bonus": [0.0, 0.1]}}).planned()
    assert [getattr(each.run.objective, "entropy_bonus", None) for each in swept] == [None, 0.0, None, 0.1]


@pytest.mark.parametrize("whole_first", [True, False])
def test_parts_are_swept_beside_whole_objects_that_leave_them_open(*, whole_first: bool) -> None:
    """Whichever is written first, each run is what it is called."""
    over: dict[str, list[Any]] = {"training.optimizer": [{"kind": "sgd"}, {"kind": "adam"}], LR: [0.5, 0.25]}
    ordered = dict(over.items() if whole_first else reversed(over.items()))
    planned = experiment({"over": ordered}).planned()
    assert {(each.run.training.optimizer.kind, each.run.training.optimizer.lr) for each in planned} == {
        (kind, lr) for kind in ("sgd", "adam") for lr in (0.5, 0.25)
    }
    for each in planned:
        assert f"lr = {each.run.training.optimizer.lr}" in each.label
        assert f"optimizer = {each.run.training.optimizer.kind}" in each.label


def test_halving_looks_after_epochs_that_grow_by_its_reduction() -> None:
    """Not after the last epoch, where there is nothing left to stop; other methods never do."""
    over = {LR: [1e-3, 1e-2]}
    asha = Sweep.model_validate({"method": "asha", "over": over, "trials": 2, "min_epochs": 2, "reduction": 3})
    assert [asha.rungs(epochs) for epochs in (2, 6, 7, 18, 19)] == [(), (2,), (2, 6), (2, 6), (2, 6, 18)]
    assert Sweep.model_validate({"over": over}).rungs(100) == ()


@pytest.mark.parametrize(
    ("sweep", "place", "said"),
    [
        ({"over": {LR: [1e-3, -1.0]}}, f"sweep/over/{LR}", "with lr = -1: This must be"),
        ({"over": {"training.optimiser.lr": [1]}}, "sweep/over/training.optimiser.lr", "There is no such field"),
        ({"over": {"objectives.2.epsilon": [0.1]}}, "sweep/over/objectives.2.epsilon", "has 2 objectives"),
        ({"over": {LR: {"low": 1, "high": 2}}}, "sweep", "a grid needs lists"),
        ({"over": {LR: 1}}, f"sweep/over/{LR}", "a list of values, or a range"),
        ({"over": {LR: [1]}, "trials": 3}, "sweep", "leave trials out"),
        ({"over": {LR: [1]}, "method": "asha"}, "sweep", "trials must say how many"),
        (
            {"over": {LR: {"low": 0, "high": 2, "log": True}}, "method": "random", "trials": 2},
            f"sweep/over/{LR}",
            "above 0",
        ),
        ({"over": {BATCH: list(range(1, 101)), "training.epochs": [1, 2, 3]}}, "sweep", "300 combinations"),
        (
            {"over": {"evaluation.samples": [1]}},
            "sweep/over/evaluation.samples",
            "is another experiment: its numbers",
        ),
        ({"over": {"dataset.name": ["cifar10"]}}, "sweep/over/dataset.name", "Another data set or evaluation"),
        ({"over": {"dataset.folder": ["a"]}}, "sweep/over/dataset.folder", "Another data set or evaluation"),
        ({"over": {"dataset": [{"name": "mnist"}]}}, "sweep/over/dataset", "is another experiment"),
        ({"over": {LR: []}}, f"sweep/over/{LR}", "at least 1 item"),
        ({"over": {BATCH: list(range(1, 102))}}, f"sweep/over/{BATCH}", "at most 100 items"),
        (
            {"over": {"adversary.eps": ["2/255"], "adversary": [{"kind": "fgsm", "eps": "8/255"}]}},
            "sweep/over/adversary.eps",
            "a part of adversary, of which a value says it, too",
        ),
        (
            {"over": {"training.awp": [{}, None], "training.awp.gamma": [0.02]}},
            "sweep/over/training.awp.gamma",
            "a part of training.awp, of which a value",
        ),
        (
            {"over": {"training": [{"optimizer": {"kind": "sgd", "lr": 1.0}}], LR: [1e-3]}},
            f"sweep/over/{LR}",
            "a part of training, of which a value",
        ),
        ({"over": {"dataset.fit": ["pad"]}}, "sweep/over/dataset.fit", "with fit = pad: There is no such field"),
    ],
)
def test_what_cannot_be_swept_is_told_where_it_stands(sweep: dict[str, Any], place: str, said: str) -> None:
    """Values that come to no spec at their field, with the values."""
    (where, message), *others = told(sweep)
    assert where.removesuffix("/[key]") == place
    assert not others
    assert said in message
    # Beyond that an answer cuts it.
    assert len(message) <= 300


PICTURES = {"name": "image_folder", "folder": "pets"}


def test_how_pictures_are_read_is_swept() -> None:
    """The rest of the data set is as it was."""
    over = {"dataset.image_size": [16, 24], "dataset.fit": ["crop", "pad"], "dataset.channels": ["grey"]}
    planned = experiment({"over": over, "metric": "accuracy"}, dataset=PICTURES).planned()[::2]
    assert [each.run.dataset.model_dump(exclude={"train_samples"}) for each in planned] == [
        PICTURES | {"image_size": size, "fit": fit, "channels": "grey"} for size in (16, 24) for fit in ("crop", "pad")
    ]


@pytest.mark.parametrize(
    "over",
    [
        {"adversary.eps": ["4/255", "8/255"]},
        {"adversary": [{"kind": "fgsm", "eps": "8/255"}, {"kind": "pgd", "eps": "8/255", "norm": "L2"}]},
        {"dataset.image_size": [16, 24]},
        {"dataset.fit": ["crop", "pad"]},
        {"dataset.channels": ["grey", "rgb"]},
    ],
)
def test_unlike_attacks_are_not_ranked(over: dict[str, Any]) -> None:
    """The smallest budget would be the best. Natural accuracy ranks them, and what is equal in all is no hindrance."""
    ((where, message),) = told({"over": over}, dataset=PICTURES)
    assert where == "sweep/metric"
    assert "the metric accuracy" in message
    assert len(message) <= 300
    assert experiment({"over": over, "metric": "accuracy"}, dataset=PICTURES).planned()
    assert experiment({"over": {field: values[:1] for field, values in over.items()}}, dataset=PICTURES).planned()


def test_halving_compares_single_runs() -> None:
    """Several seeds are for what it selects."""
    ((_, message),) = told({"method": "asha", "trials": 2, "over": {LR: [1, 2]}}, seeds=[0, 1])
    assert "give one seed" in message


def test_a_spec_without_a_sweep_says_nothing_of_one() -> None:
    """What was stored before there were sweeps is what it is now."""
    assert "sweep" not in ExperimentSpec.model_validate(QUICKSTART).model_dump(mode="json")
