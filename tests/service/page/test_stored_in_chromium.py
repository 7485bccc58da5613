"""What a browser shows of results that nobody needs to train for: rows as a worker would have left them."""

import re
from collections.abc import Iterable, Iterator

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy.orm import Session

from gauntlet.resources import TERMINAL
from gauntlet.results.protocol import IMPLEMENTATIONS
from gauntlet.results.suspicions import OVERFITTING, overfitting
from gauntlet.spec.evaluations.evaluation import EvaluationRequest
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.kinds import Cifar10
from gauntlet.spec.presets import overlay
from store.database import Database
from store.queue import jobs, sweeps
from store.queue.jobs import Claim
from store.subjects import evaluation_requests, evaluations, experiments, runs
from store.subjects.evaluations import AttackedSet
from store.subjects.runs import EpochRecord, Note
from tests.browser import barriers, opened
from tests.e2e.system import System, await_that
from tests.evaluations import batch, imported, recorded
from tests.service.page.visits import percent, url_of

pytestmark = [pytest.mark.long(seconds=8, shares="page"), pytest.mark.thorough]

COLLAPSE = 3
# What AutoAttack's standard version tries, one after the other.
_PARTS = ("apgd-ce", "apgd-t", "fab-t", "square")


def course(epoch: int, fgsm: float, *, collapses: bool) -> dict[str, float]:
    """An epoch's metrics; of a training that collapses PGD's accuracy falls to nothing from `COLLAPSE` on."""
    found = {"train_accuracy": 0.5, "test_accuracy": 0.4 + epoch / 10, "test_fgsm_accuracy": fgsm}
    if collapses and epoch > 1:
        probed = {"accuracy": 0.4 if epoch < COLLAPSE else 0.05, "fgsm_accuracy": fgsm, "best_accuracy": 0.4}
        found |= {f"probe_{name}": value for name, value in probed.items()} | {"probe_accuracy_n": 200.0}
    return found | {"train_adversarial_accuracy": fgsm, "fgsm_lowered_loss": 0.5 if epoch >= COLLAPSE else 0.0}


def begun(session: Session, made: Iterable[str]) -> Iterator[Claim]:
    """Each run in its turn, claimed."""
    for run in made:
        held = jobs.claim(session, "run", run, "worker", 60)
        assert held is not None
        yield held


def swept(database: Database, spec: ExperimentSpec) -> str:
    """An experiment whose first run collapses, and of whose others some are stopped early; its id."""
    with database.writing() as session:
        # In one transaction: a worker is waiting.
        experiment, made = experiments.create(session, spec, None)
        identifier = experiment.id
        for place, held in enumerate(begun(session, made)):
            for epoch in range(1, spec.training.epochs + 1):
                metrics = course(epoch, (0.5, 0.45, 0.6)[place % 3] + epoch / 50, collapses=place == 0)
                told = overfitting(metrics)
                notes = [Note(OVERFITTING, told, epoch, alarm=True)] if told and epoch == COLLAPSE else []
                runs.record_epoch(session, held, EpochRecord(epoch, metrics, 1.5, 64.0, notes))
                if not sweeps.goes_on(session, held, epoch, metrics):
                    break
            else:
                jobs.finish(session, held, "succeeded")
    return identifier


def test_a_sweep_and_a_collapse_are_read(
    chromium: Browser, whole_system: System, finished: str, database: Database, tiny_spec: ExperimentSpec
) -> None:
    """Trials stand ranked with their values; what collapsed is marked at its epoch, and told in words and warnings.

    What trained without a collapse differs from it in what the comparison says, and in nothing else.
    """
    tried = {"training.optimizer.lr": [0.1, 0.01, 0.001]}
    changes = {
        "name": "swept",
        "objectives": [{"kind": "cross_entropy"}, {"kind": "policy_gradient"}],
        "sweep": {
            "method": "asha",
            "trials": 12,
            "over": tried,
            "reduction": 2,
        },
    }
    experiment = swept(database, ExperimentSpec.model_validate(overlay(tiny_spec.model_dump(mode="json"), changes)))
    report = whole_system.client.report(experiment)
    assert report.sweep is not None
    with opened(chromium, url_of(whole_system), viewport={"width": 390, "height": 844}) as page:
        page.goto(f"/#/experiments/{experiment}")
        trials = page.get_by_role("region", name="Trials").locator("tbody tr")
        expect(trials).to_have_count(len(report.sweep.trials))
        shown = [row.locator("th, td").all_inner_texts() for row in trials.all()]
        assert [(row[0], row[2], row[3], row[4]) for row in shown] == [
            (str(each.rank), f"{each.values['training.optimizer.lr']:g}", percent(each.value), str(each.epochs))
            for each in report.sweep.trials
        ]
        assert {row[-1] for row in shown} == {"selected", "trained to its end", "stopped early"}
        ended_early = page.get_by_role("region", name="Runs").get_by_text("succeeded (stopped early)")
        expect(ended_early).to_have_count(sum(each.stopped for each in report.sweep.trials))
        (collapsed,) = (curve for curve in report.curves if curve.overfitting)
        told = f"eed {collapsed.seed}, epoch {COLLAPSE}: catastrophic overfitting"
        probe = page.get_by_role("img", name=re.compile(f"^Accuracy of probed images under PGD, % .*S{told}"))
        expect(probe.locator("path.alarm")).to_have_text(f"s{told}")
        expect(page.get_by_text("Triangles mark where")).to_be_visible()
        (warning,) = (each for each in report.warnings if f"epoch {COLLAPSE}: " in each)
        expect(page.get_by_text(warning)).to_be_visible()
        equal = report.equal_accuracies[0]
        assert equal.baseline_at is not None
        cells = page.get_by_role("region", name="At equal accuracy").locator("tbody tr").first.get_by_role("cell")
        for place, at in ((1, equal.objective_at), (2, equal.baseline_at)):
            numbers = f"{percent(at.test_accuracy)} / {percent(at.test_fgsm_accuracy)}"
            expect(cells.nth(place)).to_have_text(f"{numbers}epoch {at.epoch}")
        assert barriers(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.goto(f"/#/compare?experiment={experiment}&experiment={finished}")
        differing = page.get_by_role("region", name="What differs").get_by_role("rowheader")
        expect(differing.filter(has_text="seeds")).to_have_count(1)
        fields = differing.all_inner_texts()
        assert "objectives › policy gradient" in fields
        of_training = [each for each in fields if each.startswith(("dataset", "adversary", "training"))]
        assert of_training == ["training › optimizer › lr"]


def test_what_a_sweep_goes_over_is_shown_as_no_single_value(
    chromium: Browser, whole_system: System, tiny_spec: ExperimentSpec
) -> None:
    """Neither in the list nor of the experiment: what its spec has in such a place is of no trial, perhaps."""
    for name, over, eps, told in (
        (
            "one budget",
            {"training.optimizer.lr": [0.1, 0.01]},
            "8/255",
            "4 epochs of the paper's CNN on .* at ε = 8/255,",
        ),
        (
            "two budgets",
            {"adversary.eps": ["2/255", "4/255"]},
            "swept",
            "4 epochs of the paper's CNN on .* at a swept ε,",
        ),
        (
            "two adversaries",
            {"adversary": [{"kind": "fgsm", "eps": "2/255"}], "training.epochs": [1, 2]},
            "swept",
            "a swept number of epochs of the paper's CNN on examples of a swept adversary at a swept ε,",
        ),
    ):
        changes = {"name": name, "adversary": {"eps": "8/255"}, "sweep": {"over": over, "metric": "accuracy"}}
        asked = overlay(tiny_spec.model_dump(mode="json"), changes)
        experiment = whole_system.client.submit(asked)
        whole_system.client.cancel_experiment(experiment.id)
        with opened(chromium, url_of(whole_system)) as page:
            row = page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))
            expect(row).to_be_visible()
            column = page.locator("thead th").all_inner_texts().index("Trained at ε")
            expect(row.locator("th, td").nth(column)).to_have_text(eps)
            page.goto(f"/#/experiments/{experiment.id}")
            expect(page.get_by_text(re.compile(told))).to_be_visible()
        # A run that was claimed meanwhile sees only at its next look that it is cancelled.
        await_that(lambda identifier=experiment.id: whole_system.client.experiment(identifier).status in TERMINAL)
        whole_system.client.delete_experiment(experiment.id)


def test_what_is_measured_in_some_epochs_of_some_runs_is_drawn_run_by_run(
    chromium: Browser, whole_system: System, database: Database, tiny_spec: ExperimentSpec
) -> None:
    """There is no mean of it: one seed was probed, after one epoch, as where that epoch alone was suspicious."""
    spec = ExperimentSpec.model_validate(
        overlay(tiny_spec.model_dump(mode="json"), {"name": "probed", "seeds": [0, 1]})
    )
    with database.writing() as session:
        experiment, made = experiments.create(session, spec, None)
        identifier = experiment.id
        for place, held in enumerate(begun(session, made)):
            for epoch in range(1, spec.training.epochs + 1):
                metrics = course(epoch, 0.5, collapses=place == 0 and epoch == COLLAPSE - 1)
                runs.record_epoch(session, held, EpochRecord(epoch, metrics, 1.5, 64.0, []))
            jobs.finish(session, held, "succeeded")
    with opened(chromium, url_of(whole_system)) as page:
        page.goto(f"/#/experiments/{identifier}")
        probe = page.get_by_role("img", name=re.compile("^Accuracy of probed images under PGD, %, run by run "))
        expect(probe).to_have_accessible_name(
            "Accuracy of probed images under PGD, %, run by run over epoch. "
            f"Cross-entropy, seed 0: from 40.0 % at epoch {COLLAPSE - 1} "
            f"to 40.0 % at epoch {COLLAPSE - 1}, highest 40.0 % at epoch {COLLAPSE - 1}."
        )
        expect(probe.locator("circle.last")).to_have_count(1)
        expect(page.get_by_role("img", name=re.compile("^Test accuracy, % .* Cross-entropy: from "))).to_be_visible()
        expect(page.get_by_text("Nothing has been measured yet")).to_have_count(0)


def test_a_leaderboard_is_read(chromium: Browser, whole_system: System, database: Database) -> None:
    """Lists of what was measured alike, each told in words; published numbers where theirs would stand, unranked."""
    auto = {"kind": "autoattack", "eps": "8/255"}
    checkpoint = imported(database, "half of them", dataset=Cifar10())
    request = {"checkpoint": checkpoint, "attacks": [auto], "samples": 4, "batch_size": 4}
    with database.writing() as session:
        (waiting,) = evaluation_requests.create(session, EvaluationRequest.model_validate(request), None).evaluations
        held = jobs.claim(session, "evaluation", waiting.id, "worker", 60)
        assert held is not None
        evaluations.note_start(session, held, AttackedSet("d" * 64, 4), IMPLEMENTATIONS)
    # Two fall to the first part, and the others see what is left.
    recorded(database, held, batch("natural", 0, range(4), range(4)))
    recorded(database, held, batch(f"autoattack@8/255:{_PARTS[0]}", 0, range(4), (0, 1, 9, 9)))
    for part in _PARTS[1:]:
        recorded(database, held, batch(f"autoattack@8/255:{part}", 0, range(2), range(2)))
    with database.writing() as session:
        evaluations.complete(session, held)
    board = whole_system.client.leaderboard()
    with opened(chromium, url_of(whole_system)) as page:
        page.goto("/#/leaderboard")
        lists = page.locator("[data-part=groups] section")
        expect(lists).to_have_count(len(board.groups))
        for group, shown in zip(board.groups, lists.all(), strict=True):
            ranked = [row for row in shown.locator("tbody tr").all() if row.get_by_role("link").count()]
            for entry, row in zip(group.entries, ranked, strict=True):
                cells = row.locator("th, td").all_inner_texts()
                assert cells[0] == str(entry.rank)
                assert cells[1] == entry.name
                assert f"{percent(entry.robust.value)} %" in cells[2]
                assert cells[4] == ("masking not looked for" if entry.masking is None else "no masking found")
            expect(shown).to_contain_text(f"{group.protocol.n} test images of {group.protocol.dataset}")
        published = lists.filter(has_text="The reference ensemble: an image counts as robust only where none")
        names = published.get_by_role("rowheader").all_inner_texts()
        place = names.index("half of them")
        assert names[place - 1].startswith("TRADES + AWP, ResNet-18\npublished: MAIR")
        assert names[place + 1].startswith("TRADES, ResNet-18")
        assert published.locator("tbody tr").nth(place + 1).locator("td").first.inner_text() == "·"
