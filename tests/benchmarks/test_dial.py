"""The judgement of the dial from reward to cross-entropy, on records written by hand."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from benchmarks.dial.__main__ import main
from benchmarks.dial.figure import figure
from benchmarks.dial.judge import Verdict, judge
from benchmarks.dial.measurements import to_measure
from benchmarks.dial.tables import markdown
from gauntlet.resources import Checkpoint
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.reading.files import read_file
from tests.benchmarks.records import Written, judged_alike, written

_PLAN = Path(__file__).parents[2] / "benchmarks/dial"
_DIAL = ["T = 1", "T = 4", "T = 16"]
_SAMPLED = "sampled in groups of 16"
# The third epoch fell back and is not part of it.
_RISE = ((0.4, 0.2), (0.6, 0.3), (0.5, 0.1))
_OBJECTIVES: Mapping[str, Mapping[str, Any]] = {
    "ce": {"kind": "cross_entropy"},
    **{label: {"kind": "expected_reward", "label": label} for label in _DIAL},
    _SAMPLED: {"kind": "policy_gradient", "label": _SAMPLED},
}


def _run(natural: float, robust: float) -> Written:
    """Two epochs, of which the second was kept."""
    epochs = [
        {"epoch": epoch, "train_accuracy": 0.9, "test_accuracy": value, "test_fgsm_accuracy": 0.4}
        for epoch, value in ((1, 0.1), (2, natural))
    ]
    return epochs, [{"epoch": 2, "attack": "apgd-t@8/255", "accuracy": robust}]


def _early(*points: tuple[float, float | None]) -> Written:
    """Cross-entropy's first epochs, each kept: natural accuracy, and APGD-T's where it was measured."""
    epochs = [
        {"epoch": epoch, "train_accuracy": 0.9, "test_accuracy": natural, "test_fgsm_accuracy": 0.4}
        for epoch, (natural, _) in enumerate(points, 1)
    ]
    attacked = [
        {"epoch": epoch, "attack": "apgd-t@8/255", "accuracy": robust}
        for epoch, (_, robust) in enumerate(points, 1)
        if robust is not None
    ]
    return epochs, attacked


def _judged(
    folder: Path,
    seeds: int = 3,
    planned: Sequence[str] = _DIAL,
    failed: Collection[str] = (),
    rise: Sequence[tuple[float, float | None]] = _RISE,
) -> Verdict:
    """At 50, 60 and 70 % the dial keeps 30 %; cross-entropy, at 80 % with 40 %, rose from 20 % at 40 % in a line."""
    runs = {}
    for seed in range(seeds):
        for label, natural in zip(_DIAL, (0.5, 0.6, 0.7), strict=True):
            runs[f"{label}-{seed}"] = _run(natural, 0.30 + 0.01 * seed)
        runs[f"ce-{seed}"] = _run(0.8, 0.40)
        runs[f"{_SAMPLED}-{seed}"] = _run(0.3, 0.25)
    for name in failed:
        del runs[name]
    written(folder / "digits", runs, _OBJECTIVES)
    objectives = [{"kind": "cross_entropy"}, *({"kind": "expected_reward", "label": label} for label in planned)]
    spec = {
        "objectives": [*objectives, {"kind": "policy_gradient", "label": _SAMPLED}],
        "dataset": {"name": "digits"},
        "adversary": {"kind": "fgsm", "eps": "8/255"},
        "training": {"epochs": 2},
        "seeds": list(range(seeds)),
    }
    (folder / "digits/spec.json").write_text(ExperimentSpec.model_validate(spec).model_dump_json())
    early = {f"ce-{seed}": _early(*rise) for seed in range(seeds)}
    written(folder / "digits-early", early, _OBJECTIVES)
    found = judge(folder, "digits")
    assert found is not None
    return found


def test_an_arm_is_compared_where_cross_entropy_was_as_accurate(tmp_path: Path) -> None:
    """At 50, 60 and 70 % cross-entropy kept 25, 30 and 35 %: +5, 0 and −5 points, and a point more by seed."""
    differences = {found.name: found for found in _judged(tmp_path).differences}
    ahead = [differences[f"{label}, at equal natural accuracy"] for label in _DIAL]
    assert [found.mean for found in ahead] == pytest.approx([0.06, 0.01, -0.04])
    assert ahead[0].by_seed == pytest.approx({0: 0.05, 1: 0.06, 2: 0.07})
    assert differences["T = 1, last epoch"].mean == pytest.approx(-0.09)
    assert differences[f"{_SAMPLED} minus T = 1, last epoch"].mean == pytest.approx(-0.06)


def test_training_on_is_told_beside(tmp_path: Path) -> None:
    """At 80 % cross-entropy keeps 40 %, and had never been there before; where it had, with 30 %, it won ten points."""
    found = _judged(tmp_path / "once")
    assert found.trained_on is not None
    assert found.trained_on.mean == pytest.approx(0)
    again = _judged(tmp_path / "again", rise=((0.4, 0.2), (0.6, 0.3), (0.8, 0.3)))
    assert again.trained_on is not None
    assert again.trained_on.mean == pytest.approx(0.1)
    assert again.trained_on.adjusted_p is None
    assert "Not planned, and not tested" in markdown({"digits": again})
    assert len(again.differences) == len(found.differences)


def test_what_is_not_part_of_the_rise_need_not_be_measured(tmp_path: Path) -> None:
    assert _judged(tmp_path / "rise", rise=(*_RISE[:2], (0.5, None))) == _judged(tmp_path / "each")


def test_only_the_rise_is_measured() -> None:
    """In the order of epochs, however they are listed; one that is as accurate as another before tells nothing more."""
    accurate = {1: 0.4, 2: 0.6, 3: 0.5, 4: 0.6, 5: 0.7}
    listed = [
        Checkpoint.model_construct(epoch=epoch, metrics={"test_accuracy": accurate[epoch]}) for epoch in (5, 3, 1, 4, 2)
    ]
    assert [one.epoch for one in to_measure(listed)] == [1, 2, 5]


def test_what_cross_entropy_never_was_as_accurate_as_is_missing(tmp_path: Path) -> None:
    """30 % lies below its first kept checkpoint."""
    found = _judged(tmp_path)
    never = ", at equal natural accuracy: cross-entropy never was as accurate"
    assert found.missing == tuple(f"{_SAMPLED}, seed {seed}{never}" for seed in range(3))
    assert f"- {_SAMPLED}, seed 1{never}" in markdown({"digits": found})


def test_what_was_planned_and_not_run_is_named_and_decides_nothing(tmp_path: Path) -> None:
    """A setting without a record leaves the trends open; a seed without cross-entropy has no equal accuracy."""
    found = _judged(tmp_path, planned=[*_DIAL, "T = 128"], failed=["ce-0", "T = 4-1"])
    assert [trend.found for trend in found.trends] == ["not decided", "not decided"]
    assert "T = 128, seed 2: no record to its last epoch" in found.missing
    assert "T = 4, seed 1: no record to its last epoch" in found.missing
    assert "T = 1, seed 0, at equal natural accuracy: cross-entropy has no record" in found.missing


def test_trends_are_pages_over_seeds(tmp_path: Path) -> None:
    """Natural accuracy rises in every seed; of three rows of four the largest L has 1 / 24³, its exact p."""
    falls, rises = _judged(tmp_path).trends
    assert rises.means == pytest.approx({"T = 1": 0.5, "T = 4": 0.6, "T = 16": 0.7, "cross-entropy": 0.8})
    assert rises.p == pytest.approx(24**-3)
    assert rises.found == "shown"
    # By seed +5, 0, −5 and 0 for cross-entropy: not in order.
    assert falls.p is not None
    assert falls.p > 24**-3
    assert falls.adjusted_p == max(falls.p, 2 * rises.p)


def test_one_seed_decides_nothing(tmp_path: Path) -> None:
    found = _judged(tmp_path, seeds=1)
    assert [trend.found for trend in found.trends] == ["not decided", "not decided"]
    assert judge(tmp_path, "cifar10") is None


def test_the_dial_is_drawn_from_the_reward_to_cross_entropy(tmp_path: Path) -> None:
    """A point for each seed of each setting, in the order of T; an arm that is no setting is not on it."""
    found = _judged(tmp_path)
    drawn = figure("digits", found)
    assert drawn is not None
    svg = ET.fromstring(drawn)
    told = [title.text for title in svg.iterfind(".//{*}circle/{*}title")]
    assert Counter(told)["natural: 50.0"] == 3
    assert [one for one in told if one and one.startswith("APGD-T")] == [
        *(f"APGD-T: {robust}.0" for _ in _DIAL for robust in (30, 31, 32)),
        *["APGD-T: 40.0"] * 3,
    ]
    assert Counter(told)["train − natural: 40.0"] == 3
    named = [text.text for text in svg.iterfind(".//{*}text")]
    assert [name for name in named if name in ("1", "4", "16", "∞")] == ["1", "4", "16", "∞"] * 2
    assert figure("digits", replace(found, arms=found.arms[:1])) is None


@pytest.mark.parametrize("name", ["digits", "digits-early", "cifar10", "cifar10-early"])
def test_the_plans_specs_are_the_plans(name: str) -> None:
    """Arms that differ in f alone are paid alike, and the seeds are the plan's."""
    spec = ExperimentSpec.model_validate(read_file(_PLAN / f"{name}.yaml", ExperimentSpec).fields)
    assert spec.seeds == (10, 11, 12)
    rewards = [one.reward for one in spec.objectives if one.kind == "expected_reward"]
    assert all((reward.correct, reward.wrong) == (1, 0) for reward in rewards)
    assert len(rewards) == {"digits": 5, "cifar10": 6}.get(name, 0)


def test_the_committed_verdict_is_what_the_records_come_to(tmp_path: Path) -> None:
    """Judged again, all that the command writes is the same."""
    judged_alike(main, _PLAN / "results", tmp_path, ["verdict.json", "verdict.md", "digits.svg"])
