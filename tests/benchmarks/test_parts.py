"""The judgement of the screen over the reward's parts: its design, and what it finds in records written by hand."""

import json
from collections.abc import Callable
from itertools import combinations
from math import prod
from pathlib import Path
from random import Random

import pytest

from benchmarks.parts.__main__ import main
from benchmarks.parts.judge import CELLS, CREDITS, Combination, Verdict, _row, effects, judge
from benchmarks.parts.tables import markdown
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.reading.files import read_file
from gauntlet.spec.runs.architectures import Cnn
from gauntlet.spec.runs.objectives import PolicyGradient
from tests.benchmarks.records import judged_alike, written

_PLAN = Path(__file__).parents[2] / "benchmarks/parts"
_TRAINING_IMAGES = 1_437


def _spec(cell: str) -> ExperimentSpec:
    return ExperimentSpec.model_validate(read_file(_PLAN / f"{cell}.yaml", ExperimentSpec).fields)


def _signs(spec: ExperimentSpec) -> tuple[int, ...]:
    """Action, batch, dropout and updates, each −1 or 1."""
    (action,) = {objective.action for objective in spec.objectives if isinstance(objective, PolicyGradient)}
    assert isinstance(spec.architecture, Cnn)
    batch = spec.training.batch_size
    updates = spec.training.epochs * -(-_TRAINING_IMAGES // batch)
    assert min(abs(updates - 900), abs(updates - 1800)) <= 6
    return tuple(2 * on - 1 for on in (action == "argmax", batch == 64, spec.architecture.dropout, updates > 1_350))


def test_the_specs_are_the_planned_half_of_all_combinations() -> None:
    """Each part is as often at either setting, whatever one or two others are; all four multiplied are always 1."""
    specs = [_spec(cell) for cell in CELLS]
    signs = [_signs(spec) for spec in specs]
    assert len(set(signs)) == len(CELLS) == 8
    for count in (1, 2, 3):
        for columns in combinations(range(4), count):
            assert sum(prod(row[column] for column in columns) for row in signs) == 0
    assert {prod(row) for row in signs} == {1}
    alike = {(tuple(spec.seeds), spec.adversary.model_dump_json(), spec.evaluation.model_dump_json()) for spec in specs}
    assert len(alike) == 1
    for spec in specs:
        assert tuple(objective.label for objective in spec.objectives) == CREDITS
        rewards = [objective for objective in spec.objectives if isinstance(objective, PolicyGradient)]
        assert [(one.baseline, one.scale_rewards) for one in rewards] == [
            ("none", "none"),
            ("batch_mean", "none"),
            ("batch_mean", "batch"),
        ]


def _judged(folder: Path, robust: Callable[[Combination], float], left_out: str = "") -> Verdict:
    """Records of all cells but for one, accuracies as said and ± half a point by chance."""
    chance = Random(0)
    for cell in CELLS:
        if cell == left_out:
            continue
        spec = _spec(cell)
        action, batch, dropout, updates = _signs(spec)
        runs = {}
        for credit in CREDITS:
            for seed in spec.seeds:
                what = Combination(
                    action > 0, credit, 64 if batch > 0 else 16, dropout > 0, 1800 if updates > 0 else 900
                )
                accuracy = robust(what) + 0.02 * (seed == 21) + chance.choice((-0.005, 0.005))
                epoch = {"epoch": 1, "train_accuracy": 0.9, "test_accuracy": 0.8, "test_fgsm_accuracy": 0.5}
                natural = chance.choice((-0.005, 0.005))
                runs[f"{credit}-{seed}"] = (
                    [epoch | {"test_accuracy": 0.8 + natural}],
                    [{"epoch": 1, "attack": "apgd-t@32/255", "accuracy": accuracy}],
                )
        objectives = {credit: {"kind": "policy_gradient", "label": credit} for credit in CREDITS}
        written(folder / cell, runs, objectives)
        (folder / cell / "spec.json").write_text(json.dumps(spec.model_dump(mode="json")))
    return judge(folder)


def _planted(what: Combination) -> float:
    """Ten points for the baseline, thirty where the class is the likeliest; four for dropout, and nothing else."""
    baseline = (0.30 if what.likeliest else 0.10) * (what.credit != CREDITS[0])
    return 0.3 + baseline + 0.04 * what.dropout


def test_it_finds_the_effects_that_are_there(tmp_path: Path) -> None:
    """Within half a point, each over all others; what is not there is not shown."""
    verdict = _judged(tmp_path, _planted)
    assert verdict.missing == ()
    assert len(verdict.measured) == 24
    expected = [0.2 * 2 / 3, 0.20, 0.0, 0.0, 0.04, 0.0, 0.20, 0.0]
    assert [one.size for one in verdict.robust] == pytest.approx(expected, abs=0.005)
    assert [one.found == "shown" for one in verdict.robust] == [size > 0 for size in expected]
    for one in verdict.robust:
        assert one.interval[0] < one.size < one.interval[1]
        assert one.p <= one.adjusted_p <= 1
    assert {one.found for one in verdict.natural} == {"not shown"}
    told = markdown(verdict)
    assert "| dropout minus none | +4" in told
    assert "| likeliest | no baseline | 16 | yes | 900 |" in told


@pytest.mark.parametrize("accuracy", [0.0, 0.3, 1 / 3, 1.0])
def test_rounding_is_no_effect(accuracy: float) -> None:
    """Of 48 equal accuracies nothing is shown, whether least squares leaves exactly nothing of them or some 1e-16."""
    rows = [
        _row(Combination(action > 0, credit, 64 if batch > 0 else 16, dropout > 0, 1800 if updates > 0 else 900), seed)
        for action, batch, dropout, updates in (_signs(_spec(cell)) for cell in CELLS)
        for credit in CREDITS
        for seed in (20, 21)
    ]
    for one in effects(rows, [accuracy] * len(rows)):
        assert (one.p, one.adjusted_p, one.found) == (1, 1, "not shown")
        assert one.size == pytest.approx(0, abs=1e-12)


def test_nothing_is_decided_while_a_run_has_no_record(tmp_path: Path) -> None:
    """What there is is told, and what is not."""
    verdict = _judged(tmp_path, _planted, left_out="batch-16-900")
    assert (verdict.robust, verdict.natural, len(verdict.measured)) == ((), (), 21)
    assert len(verdict.missing) == 6
    assert "- batch-16-900, no baseline, seed 20" in markdown(verdict)


def test_its_verdict_is_written_of_the_records_alone(tmp_path: Path) -> None:
    """With --judge nothing is started."""
    _judged(tmp_path, _planted)
    main(["--judge", "--out", str(tmp_path)])
    assert "**shown**" in (tmp_path / "verdict.md").read_text()
    assert len(json.loads((tmp_path / "verdict.json").read_text())["robust"]) == 8


def test_the_committed_verdict_is_what_the_records_come_to(tmp_path: Path) -> None:
    """Judged again, all that the command writes is the same."""
    judged_alike(main, _PLAN / "results", tmp_path, ["verdict.json", "verdict.md"])
