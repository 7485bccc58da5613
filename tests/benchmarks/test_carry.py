"""What the dial carried over adds to the dial's judgement, on records written by hand; and its plan's specs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from benchmarks.carry.__main__ import main
from benchmarks.carry.judge import CELLS, corrected, judge
from benchmarks.carry.measurements import neighbours
from benchmarks.dial.judge import Trend, Verdict
from benchmarks.dial.tables import markdown
from gauntlet.resources import Checkpoint
from gauntlet.spec.evaluations.attacks import MinimumMargin
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.reading.files import read_file
from gauntlet.spec.runs.objectives import ExpectedReward
from tests.benchmarks.records import Written, judged_alike, written

_PLAN = Path(__file__).parents[2] / "benchmarks/carry"
_ARMS = {
    "ce": {"kind": "cross_entropy"},
    "T = 1": {"kind": "expected_reward", "label": "T = 1"},
    "T = 4": {"kind": "expected_reward", "label": "T = 4"},
}


def _spec(cell: str) -> ExperimentSpec:
    return ExperimentSpec.model_validate(read_file(_PLAN / f"{cell}.yaml", ExperimentSpec).fields)


def test_the_specs_are_the_plans() -> None:
    """They differ in adversary, attack and controls; exact losses differ in f alone, and each attack has its budget."""
    specs = {cell: _spec(cell) for cell in CELLS}
    assert {(spec.seeds, spec.training.model_dump_json(), spec.evaluation.samples) for spec in specs.values()} == {
        ((30, 31, 32), specs["fgsm"].training.model_dump_json(), 180)
    }
    for spec in specs.values():
        exact = [one for one in spec.objectives if isinstance(one, ExpectedReward)]
        assert [(one.label, one.terms, one.reward.correct, one.reward.wrong) for one in exact] == [
            ("T = 1", 1, 1, 0),
            ("T = 4", 4, 1, 0),
        ]
        assert {(one.norm, one.eps) for one in spec.evaluation.attacks} == {(spec.adversary.norm, spec.adversary.eps)}
        assert any(isinstance(one, MinimumMargin) for one in spec.evaluation.attacks)
    assert specs["fgsm"].objective_labels()[3:] == ("A2C", "PPO, one pass", "label smoothing 0.1")
    assert (specs["l2"].adversary.norm, specs["pgd"].adversary.kind) == ("L2", "pgd")


# Natural accuracy of an epoch, and MM's where it was measured.
Point = tuple[float, float | None]
_ON_THE_WAY: tuple[Point, ...] = ((0.1, None), (0.2, None), (0.3, None))


def _arm(points: Sequence[Point]) -> Written:
    """Each epoch is kept, and attacked by FGSM at least."""
    numbered = list(enumerate(points, 1))
    epochs = [
        {"epoch": epoch, "train_accuracy": 0.9, "test_accuracy": natural, "test_fgsm_accuracy": 0.4}
        for epoch, (natural, _) in numbered
    ]
    attacked: list[Mapping[str, object]] = [
        {"epoch": epoch, "attack": "fgsm@L2:1", "accuracy": 0.99} for epoch, _ in numbered
    ]
    attacked += [
        {"epoch": epoch, "attack": "mm@L2:1", "accuracy": robust, "n": 180}
        for epoch, (_, robust) in numbered
        if robust is not None
    ]
    return epochs, attacked


def _judged(folder: Path, rise: Sequence[Point], ends: Sequence[float] = (0.5, 0.8)) -> dict[str, Verdict]:
    """L2 alone: at these ends T = 1 and T = 4 keep 40 %, and cross-entropy, after `rise`, 60 at 90."""
    runs = {}
    for seed in range(3):
        runs[f"ce-{seed}"] = _arm([*rise, (0.9, 0.6)])
        for name, end in zip(("T = 1", "T = 4"), ends, strict=True):
            runs[f"{name}-{seed}"] = _arm([*_ON_THE_WAY, (end, 0.4)])
    written(folder / "l2", runs, _ARMS)
    spec = _spec("l2").model_dump(mode="json")
    spec |= {"training": spec["training"] | {"epochs": 4}, "seeds": [0, 1, 2]}
    (folder / "l2/spec.json").write_text(json.dumps(spec))
    return judge(folder)


def test_mm_judges_and_fgsm_beside_it_does_not(tmp_path: Path) -> None:
    """At 50 % cross-entropy kept 20, at 80 it kept 35: 20 and 5 points less than the arms."""
    (verdict,) = _judged(tmp_path, [(0.4, 0.15), (0.6, 0.25), (0.7, 0.3)]).values()
    assert [arm.mean.robust for arm in verdict.arms] == pytest.approx([0.6, 0.4, 0.4])
    assert {arm.n for arm in verdict.arms} == {180}
    found = {one.name: one.mean for one in verdict.differences}
    assert found["T = 1, at equal natural accuracy"] == pytest.approx(0.2)
    assert found["T = 4, at equal natural accuracy"] == pytest.approx(0.4 - 0.45)
    told = markdown({"l2": verdict}, title="Carried over", attack="MM")
    assert "| arm | seeds | natural | MM |" in told
    assert "APGD-T" not in told


def test_what_is_not_measured_beside_an_arm_is_not_taken_from_further_away(tmp_path: Path) -> None:
    """Of the epochs at 40 and 60 % the second was not measured: between 40 and 70 nothing is interpolated."""
    (verdict,) = _judged(tmp_path, [(0.4, 0.15), (0.6, None), (0.7, 0.3)]).values()
    assert "T = 1, at equal natural accuracy" not in {one.name for one in verdict.differences}
    not_measured = "at equal natural accuracy: cross-entropy is not measured where it was as accurate"
    assert verdict.missing == tuple(f"T = 1, seed {seed}, {not_measured}" for seed in range(3))
    assert [trend.found for trend in verdict.trends] == ["not decided", "shown"]


def test_the_neighbours_are_all_that_is_read(tmp_path: Path) -> None:
    """Whatever course cross-entropy takes, with its neighbours' measurements alone each figure is that of all."""
    chance = Random(0)
    for number in range(20):
        course = [chance.choice((0.3, 0.4, 0.5, 0.6, 0.7, 0.8)) for _ in range(3)]
        ends = (chance.uniform(0.2, 0.9), chance.choice((0.5, 0.8)))
        kept = [
            Checkpoint.model_construct(epoch=epoch, metrics={"test_accuracy": natural})
            for epoch, natural in enumerate((*course, 0.9), 1)
        ]
        asked = {one.epoch for end in ends for one in neighbours(kept, end)}
        robust = [(natural, natural**2 + epoch / 100) for epoch, natural in enumerate(course, 1)]
        all_of_it = _judged(tmp_path / f"all-{number}", robust, ends)
        sparse = [(natural, mm if epoch in asked else None) for epoch, (natural, mm) in enumerate(robust, 1)]
        assert _judged(tmp_path / f"some-{number}", sparse, ends) == all_of_it


def _with_trends(*ps: float | None) -> Verdict:
    return Verdict((), tuple(Trend(f"trend {place}", {}, (), p) for place, p in enumerate(ps)), (), None, ())


def test_the_primary_trends_are_corrected_together() -> None:
    """Four of them, of which one that is not decided counts as 1; those of the reference are left as they were."""
    reference = replace(_with_trends(0.01, 0.01), trends=(Trend("trend", {}, (), 0.01, 0.02),))
    found = corrected({"fgsm": reference, "l2": _with_trends(0.005, None), "pgd": _with_trends(0.3, 0.02)})
    assert found["fgsm"] == reference
    assert [one.adjusted_p for one in found["l2"].trends] == [pytest.approx(0.02), None]
    assert [one.adjusted_p for one in found["pgd"].trends] == pytest.approx([0.6, 0.06])
    alone = corrected({"l2": _with_trends(0.005, 0.02)})
    assert [one.adjusted_p for one in alone["l2"].trends] == pytest.approx([0.02, 0.06])


def test_the_committed_verdict_is_what_the_records_come_to(tmp_path: Path) -> None:
    """Judged again, all that the command writes is the same."""
    judged_alike(main, _PLAN / "results", tmp_path, ["verdict.json", "verdict.md"])
