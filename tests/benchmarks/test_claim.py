"""The judgement of the paper's claim: on records written by hand, and what it measures beyond the specs."""

import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.claim.__main__ import main
from benchmarks.claim.judge import Verdict, judge
from benchmarks.claim.measurements import Measurements, Replication, best_on_test, measurements
from benchmarks.claim.tables import markdown
from benchmarks.studies.asked import AsSpecified
from benchmarks.studies.record import write_record
from gauntlet.resources import TERMINAL
from gauntlet.spec.experiment import ExperimentSpec
from tests.benchmarks.records import written
from tests.e2e.system import System, await_that
from tests.smallest import SMALLEST

pytestmark = [pytest.mark.long(seconds=20), pytest.mark.thorough]

_PLAN = Path(__file__).parents[2] / "benchmarks/claim"
_OBJECTIVES = {"cross_entropy": {"kind": "cross_entropy"}, "reward": {"kind": "policy_gradient"}}


def _epochs(
    train: float, natural: float, fgsm: float, *, rise: float = 0.0, until: int = 220
) -> list[dict[str, float]]:
    """Constant accuracies, but for `rise`, by which FGSM's is higher from epoch 121 on."""
    return [
        {
            "epoch": epoch,
            "train_accuracy": train,
            "test_accuracy": natural,
            "test_fgsm_accuracy": fgsm + rise * (epoch > 120),
        }
        for epoch in range(1, until + 1)
    ]


def _attacked(epoch: int, attack: str, accuracy: float, **more: object) -> dict[str, object]:
    return {"epoch": epoch, "attack": f"{attack}@8/255", "accuracy": accuracy} | more


def _early(natural: list[float], robust: list[float]) -> tuple[list[dict[str, float]], list[dict[str, object]]]:
    """Cross-entropy's first epochs: after each, its natural accuracy (train: 2 points more) and APGD-T accuracy."""
    epochs = [
        {"epoch": epoch, "train_accuracy": value + 0.02, "test_accuracy": value, "test_fgsm_accuracy": 0.3}
        for epoch, value in enumerate(natural, 1)
    ]
    return epochs, [_attacked(epoch, "apgd-t", value) for epoch, value in enumerate(robust, 1)]


def _written(folder: Path, *, masking: str = "PASS") -> Verdict:
    """Three seeds: the reward is 2, 3 and 4 points ahead at best, 10 at the end, and 5.5 at equal natural accuracy."""
    runs: dict[str, tuple[list[dict[str, float]], list[dict[str, object]]]] = {}
    early = {}
    for seed in range(3):
        ahead = 0.02 + 0.01 * seed
        runs[f"reward-{seed}"] = (
            _epochs(0.54, 0.53, 0.36, rise=0.02),
            [
                _attacked(220, "autoattack", 0.26 + ahead, selection="best_fgsm+last", masking=masking),
                _attacked(220, "apgd-t", 0.30 + 0.001 * seed),
            ],
        )
        runs[f"cross_entropy-{seed}"] = (
            _epochs(0.60, 0.55, 0.33),
            [
                _attacked(60, "autoattack", 0.26, selection="best_fgsm"),
                _attacked(60, "apgd-t", 0.27),
                _attacked(220, "autoattack", 0.16 + ahead, selection="last"),
            ],
        )
        # At 0.53 half-way between 0.52 (0.24) and 0.54 (0.25); a fall in between does not count.
        early[f"cross_entropy-{seed}"] = _early([0.40, 0.52, 0.50, 0.54], [0.20, 0.24, 0.10, 0.25])
    runs["reward-0"][1].append(_attacked(220, "autoattack", 0.31, n=10_000))
    written(folder / "main", runs, _OBJECTIVES)
    written(folder / "early", early, _OBJECTIVES)
    return judge(folder)


def test_it_compares_seed_by_seed_and_adjusts_for_all_four_comparisons(tmp_path: Path) -> None:
    """Differences, Student's interval and Holm's p are those worked out by hand."""
    verdict = _written(tmp_path)
    best, last, natural, train = verdict.primary
    assert best.differences == pytest.approx({0: 0.02, 1: 0.03, 2: 0.04})
    assert best.mean == pytest.approx(0.03)
    # t(2, 0.975) = 4.3027; the standard error is 0.01 / √3.
    assert best.interval == pytest.approx((0.03 - 0.024841, 0.03 + 0.024841), abs=1e-6)
    # t = 0.03 · √3 / 0.01 = 5.196 on two degrees of freedom.
    assert best.p == pytest.approx(0.03511, abs=1e-4)
    assert (last.mean, last.p) == (pytest.approx(0.10), None)
    assert natural.differences == pytest.approx({0: 0.055, 1: 0.056, 2: 0.057})
    assert train.differences == pytest.approx({0: 0.06, 1: 0.061, 2: 0.062})
    assert natural.p is not None
    assert train.p is not None
    assert [train.adjusted_p, natural.adjusted_p, best.adjusted_p] == pytest.approx(
        [3 * train.p, max(3 * train.p, 2 * natural.p), best.p]
    )
    assert verdict.answer == "it holds"
    assert verdict.missing == (
        "on four other seeds: at each one's best checkpoint by FGSM, AutoAttack",
        "on four other seeds: at equal natural accuracy, APGD-T",
        "on four other seeds: at each one's best checkpoint by FGSM on held-out images, AutoAttack",
    )


def test_the_replication_is_judged_by_itself(tmp_path: Path) -> None:
    """On its own seeds, two comparisons, Holm over the two; a masked gradient is told and does not decide."""
    first = _written(tmp_path)
    _written(tmp_path / "other", masking="SUSPECT")
    for name in ("main", "early"):
        (tmp_path / "other" / name).rename(tmp_path / name.replace("main", "again").replace("early", "again-early"))
    verdict = judge(tmp_path)
    assert verdict.primary == first.primary
    best, natural = verdict.replication
    assert (best.differences, natural.differences) == (first.primary[0].differences, first.primary[2].differences)
    assert natural.p is not None
    assert [best.adjusted_p, natural.adjusted_p] == pytest.approx([best.p, 2 * natural.p])
    told = markdown(verdict)
    assert f"{best.name}: confirmed." in told
    assert best.suspect == (0, 1, 2)
    # Here the checkpoint that the experiment selected is the best by the test set, too.
    assert verdict.held_out is not None
    assert verdict.held_out.differences == best.differences
    assert verdict.missing == ()


def test_an_interrupted_replication_is_no_verdict(tmp_path: Path) -> None:
    """Which checkpoint of a run is the best is not known before its end, and some of the seeds confirm nothing."""
    _written(tmp_path)
    for name in ("main", "early"):
        (tmp_path / name).rename(tmp_path / name.replace("main", "again").replace("early", "again-early"))
    about = json.loads((tmp_path / "again/about.json").read_text())
    about["runs"]["reward-2"]["status"] = "running"
    (tmp_path / "again/about.json").write_text(json.dumps(about))
    verdict = judge(tmp_path)
    assert verdict.replication == ()
    assert "on four other seeds: at equal natural accuracy, APGD-T (seeds 2)" in verdict.missing
    assert "confirmed" not in markdown(verdict)


def test_a_masked_gradient_is_no_robustness(tmp_path: Path) -> None:
    """The same numbers with a SUSPECT verdict do not make the claim hold."""
    verdict = _written(tmp_path, masking="SUSPECT")
    assert verdict.answer == "it does not hold"
    assert verdict.primary[0].suspect == (0, 1, 2)
    assert "SUSPECT, seeds 0, 1, 2" in markdown(verdict)


def test_what_the_paper_states_is_counted_over_seeds(tmp_path: Path) -> None:
    """Rise, both gaps, and the fall of cross-entropy."""
    rises, small, wide, falls = _written(tmp_path).statements
    assert rises.figures == pytest.approx(dict.fromkeys(range(3), 0.02))
    assert small.figures == dict.fromkeys(range(3), 1.0)
    assert wide.figures == dict.fromkeys(range(3), 1.0)
    assert falls.figures == pytest.approx({0: 0.08, 1: 0.07, 2: 0.06})
    assert [len(said.true_of) for said in (rises, small, wide, falls)] == [3, 3, 3, 3]


def test_a_number_of_table_1_passes_within_three_points(tmp_path: Path) -> None:
    """Natural and FGSM accuracy are of the whole test set; AutoAttack is shown for both numbers of images."""
    rows = {(row.name, row.n): row for row in _written(tmp_path).table}
    assert rows["policy gradient, last, natural", 10_000].mean == pytest.approx(0.53)
    assert rows["policy gradient, last, natural", 10_000].passed
    assert rows["policy gradient, best fgsm, AutoAttack", 10_000].by_seed == {0: 0.31}
    assert rows["policy gradient, best fgsm, AutoAttack", 1_000].mean == pytest.approx(0.29)
    assert rows["cross entropy, best fgsm, natural", 10_000].passed is False  # 55 against 50.96
    assert "| cross entropy, best fgsm, natural | 50.96 | 55.0 |" in markdown(_written(tmp_path / "again"))


def test_a_seed_of_its_own_is_read_for_the_whole_test_set_alone(tmp_path: Path) -> None:
    """Its accuracy stands in Table 1 beside those of other seeds, and no comparison has it."""
    before = _written(tmp_path)
    runs = {
        f"{name}-8": (_epochs(0.9, 0.9, 0.9), [_attacked(220, "autoattack", 0.5, selection="last", n=10_000)])
        for name in _OBJECTIVES
    }
    written(tmp_path / "whole", runs, _OBJECTIVES)
    after = judge(tmp_path)
    assert replace(after, table=()) == replace(before, table=())
    rows = {(row.name, row.n): row for row in after.table}
    changed = {key for key, row in rows.items() if row not in before.table}
    assert {n for _, n in changed} == {10_000}
    assert rows["policy gradient, last, AutoAttack", 10_000].by_seed == {0: 0.31, 8: 0.5}
    assert all("AutoAttack" in name for name, _ in changed)


def test_the_loop_nearest_to_the_paper_comes_first(tmp_path: Path) -> None:
    """Of the batches whose cross-entropy has had 60 epochs, by both distances together."""
    histories = {"main": (0.60, 0.36), "batch-64": (0.55, 0.33), "batch-256": (0.50, 0.32), "batch-32": (0.58, 0.35)}
    for name, (natural, fgsm) in histories.items():
        written(tmp_path / name, {"cross_entropy-0": (_epochs(0.6, natural, fgsm, until=60), [])}, _OBJECTIVES)
    written(tmp_path / "short", {"cross_entropy-0": (_epochs(0.6, 0.5, 0.3, until=59), [])}, _OBJECTIVES)
    history = "histories/cross_entropy-0.csv"
    loops = judge(tmp_path, tmp_path / "batch-32" / history).loops
    assert [loop.batch for loop in loops] == [256, 64, 32, 128]
    # |50 − 50.96| + |32 − 32.86| points.
    assert loops[0].distance == pytest.approx(0.0182)
    assert [loop.batch for loop in judge(tmp_path, tmp_path / "short" / history).loops] == [256, 64, 128]


def test_nothing_is_decided_before_it_is_measured(tmp_path: Path) -> None:
    """Without records, and with histories alone, the verdict says what is missing."""
    assert judge(tmp_path).answer == "not decided yet"
    written(
        tmp_path / "main", {"reward-0": (_epochs(0.5, 0.5, 0.3, until=9), []), "cross_entropy-0": ([], [])}, _OBJECTIVES
    )
    verdict = judge(tmp_path)
    assert (verdict.answer, verdict.primary, verdict.table, verdict.statements) == ("not decided yet", (), (), ())
    assert len(verdict.missing) == 7
    assert "Not measured yet:" in markdown(verdict)


def test_the_specs_are_those_of_the_plan() -> None:
    """Seeds, batches and epochs are what PLAN.md says, and seed 7 is nowhere."""
    specs = {
        file.stem: ExperimentSpec.model_validate(yaml.safe_load(file.read_text())) for file in _PLAN.glob("*.yaml")
    }
    assert {name: (spec.training.batch_size, spec.training.epochs, spec.seeds) for name, spec in specs.items()} == {
        "main": (128, 220, (0, 1, 2)),
        "early": (128, 20, (0, 1, 2)),
        "again": (128, 220, (3, 4, 5, 6)),
        "again-early": (128, 20, (3, 4, 5, 6)),
        "batch-64": (64, 60, (0,)),
        "batch-256": (256, 60, (0,)),
        "whole": (128, 220, (8,)),
    }
    assert {name for name, spec in specs.items() if spec.evaluation.held_out(50_000) == 5_000} == {
        "again",
        "again-early",
    }
    assert [name for name, spec in specs.items() if spec.evaluation.samples == 10_000] == ["whole"]
    for again, first in (("again", "main"), ("again-early", "early"), ("whole", "main")):
        assert specs[again].objectives == specs[first].objectives
        assert specs[again].training == specs[first].training


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path, broker_url: str) -> Iterator[System]:
    """A whole Gauntlet with a worker."""
    home = tmp_path_factory.mktemp("claim")
    shutil.copy(migrated_sqlite, home / "gauntlet.db")
    with System(home, f"sqlite:///{home / 'gauntlet.db'}", broker_url) as running:
        running.start("worker")
        yield running


@pytest.fixture
def tiny_document(tiny_document: dict[str, Any]) -> dict[str, Any]:
    """Of the smallest network: what is tested is which of its checkpoints are measured."""
    return tiny_document | {"architecture": SMALLEST}


def test_every_checkpoint_is_measured_once(system: System, tmp_path: Path, tiny_document: dict[str, Any]) -> None:
    """APGD-T at every kept checkpoint, AutoAttack on more images at the selected ones, transfer between the best.

    It is asked for while the runs go on, and by a second process that begins when the first is done. A third has no
    time to wait, and writes what there is.
    """
    objectives = [{"kind": "cross_entropy"}, {"kind": "policy_gradient"}]
    experiment = system.client.submit(tiny_document | {"objectives": objectives}).id
    wanted = Measurements(system.client, experiment, sampled=2, whole_test_set=3)
    again = Measurements(system.client, experiment, sampled=2, whole_test_set=3)
    assert wanted.ask().status != "succeeded"
    await_that(lambda: _all_ended(wanted))
    assert _all_ended(again)
    write_record(system.client, experiment, tmp_path / "record", {})
    (tmp_path / "main.yaml").write_text(yaml.safe_dump(tiny_document))
    main(f"--only main --specs {tmp_path} --out {tmp_path} --url {system.client.url} --within 0".split())
    assert "not decided yet" in (tmp_path / "verdict.md").read_text()
    assert json.loads((tmp_path / "main/about.json").read_text())["status"] != "succeeded"
    assert {one.status for one in wanted.look()} == {"succeeded"}
    assert {one.id for one in again.look()} == {one.id for one in wanted.look()}
    rows = list(csv.DictReader((tmp_path / "record/evaluations.csv").read_text().splitlines()))
    asked = [(row["run"].partition("-")[0], row["epoch"], row["attack"].partition("@")[0], row["n"]) for row in rows]
    for kind in ("cross_entropy", "policy_gradient"):
        assert {(kind, epoch, "apgd-t", "2") for epoch in ("2", "4")} <= set(asked)
        assert len([one for one in asked if one[0] == kind and one[2:] == ("autoattack", "3")]) == 1
        assert len([one for one in asked if one[0] == kind and one[2].startswith("transfer")]) == 2


def test_of_the_replication_what_its_comparisons_read_is_measured(
    system: System, tiny_document: dict[str, Any]
) -> None:
    """AutoAttack at the best by the test images, for one that the held-out ones did not choose with its own checks.

    APGD-T at the reward's and at cross-entropy's early ones; the first seed's best and last have more images.
    """
    document = tiny_document | {"objectives": list(_OBJECTIVES.values())}
    document["evaluation"] |= {"select": ["best_fgsm"], "select_on": "validation", "validation_samples": 8}
    experiment = system.client.submit(document).id
    wanted = measurements(system.client, experiment)
    assert type(wanted) is Replication
    replication = Replication(system.client, experiment, sampled=2, whole_test_set=3)
    await_that(lambda: system.client.experiment(experiment).status in TERMINAL)
    replication.ask()
    found = [one for one in replication.look() if one.spec.attacks[0].kind != "transfer"]
    asked = set()
    for run in system.client.runs(experiment):
        kept = sorted(system.client.checkpoints(run.id), key=lambda checkpoint: checkpoint.epoch or 0)
        best, last = best_on_test(kept), kept[-1]
        chosen = {one.checkpoint for one in system.client.evaluations(experiment=experiment) if one.run == run.id}
        early = kept if run.objective == "cross_entropy" else [best]
        asked |= {(checkpoint.id, "apgd-t", 2) for checkpoint in early}
        asked |= {(best.id, "autoattack", 2)} if best.id not in chosen else set()
        asked |= {(one.id, "autoattack", 3) for one in (best, last)}
    assert {(one.checkpoint, one.spec.attacks[0].kind, one.spec.samples) for one in found} == asked


def test_what_attacks_the_whole_test_set_itself_wants_no_more(system: System, tiny_document: dict[str, Any]) -> None:
    """Nothing is measured beyond what its spec asks for."""
    tiny_document["evaluation"] |= {"samples": 10_000}
    experiment = system.client.submit(tiny_document).id
    assert type(measurements(system.client, experiment)) is AsSpecified
    system.client.cancel_experiment(experiment)


def _all_ended(measured: Measurements) -> bool:
    experiment = measured.ask()
    return all(one.status in TERMINAL for one in (experiment, *measured.look()))
