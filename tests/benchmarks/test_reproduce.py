"""The reproduction, of a tiny experiment instead of the paper's."""

import csv
import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
import yaml

from benchmarks.studies import reproduce
from gauntlet.rendering import FIGURES
from gauntlet.report.report import Report
from gauntlet.spec.experiment import ExperimentSpec
from gauntlet.spec.presets import PAPER_SAMPLED
from tests.e2e.system import System
from tests.smallest import SMALLEST

pytestmark = [pytest.mark.long(seconds=30), pytest.mark.thorough]


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory: pytest.TempPathFactory, tiny_spec: ExperimentSpec) -> Path:
    """A folder with the tiny experiment of both objectives as a file, the system's data, and what was kept of it."""
    folder = tmp_path_factory.mktemp("reproduced")
    objectives = [{"kind": "cross_entropy"}, {"kind": "policy_gradient", "label": "Ours: R ∈ {0, 1}"}]
    document = tiny_spec.model_dump(mode="json") | {"architecture": SMALLEST, "objectives": objectives}
    (folder / "spec.yaml").write_text(yaml.safe_dump(document))
    where = ("--home", str(folder / "home"), "--out", str(folder / "out"))
    reproduce.main(["--spec", str(folder / "spec.yaml"), *where])
    return folder


def test_it_keeps_all_that_the_service_says(reproduced: Path) -> None:
    """Report, figures, history and provenance are written."""
    out = reproduced / "out"
    report = Report.model_validate_json((out / "report.json").read_text())
    assert report.complete
    assert len(report.rows) == 2
    for form, told in (("md", "# tiny"), ("html", "<h1>tiny</h1>"), ("csv", "fgsm@8/255"), ("tex", r"\toprule")):
        assert told in (out / f"report.{form}").read_text()
    drawn = {file.stem for file in (out / "figures").iterdir() if ET.parse(file).getroot().tag.endswith("svg")}
    assert drawn == set(FIGURES) - {"eps", "certified"}
    assert ExperimentSpec.model_validate_json((out / "spec.json").read_text()) == report.spec

    about = json.loads((out / "about.json").read_text())
    events = json.loads((out / "events.json").read_text())
    names = ["cross_entropy-seed-0", "ours-r-0-1-70ca50-seed-0"]
    assert list(about["runs"]) == list(events) == names
    for name in names:
        history = list(csv.DictReader((out / "histories" / f"{name}.csv").read_text().splitlines()))
        assert [row["epoch"] for row in history] == ["1", "2", "3", "4"]
        assert {"train_accuracy", "test_accuracy", "test_fgsm_accuracy"} <= history[0].keys()
        assert [checkpoint["epoch"] for checkpoint in about["runs"][name]["checkpoints"]] == [2, 4]
        assert about["runs"][name]["training_seconds"] > 0
        assert [event["kind"] for event in events[name]][:2] == ["data", "started"]
    assert {job["attempts"] for job in (*about["runs"].values(), *about["evaluations"])} == {1}
    assert about["evaluations"][0]["fingerprints"].keys() == {"natural", "fgsm@8/255"}
    assert about["runs"][names[1]]["objective"]["kind"] == "policy_gradient"
    evaluated = list(csv.DictReader((out / "evaluations.csv").read_text().splitlines()))
    assert [(row["run"], row["epoch"], row["attack"]) for row in evaluated] == [
        (names[row.objective != "cross_entropy"], str(row.epoch), "fgsm@8/255") for row in report.rows
    ]
    assert [float(row["natural_accuracy"]) for row in evaluated] == [row.natural_accuracy for row in report.rows]
    assert about["wall_seconds"] > 0
    assert about["database_bytes"] > 0
    assert about["storage_bytes"] > 0


def test_it_finds_its_experiment_again(reproduced: Path, tmp_path: Path, broker_url: str) -> None:
    """Started again, here of a service that runs, it repeats nothing and writes the same.

    With --now nothing is waited for; an experiment may be named instead of the spec, and renderings be left out.
    """
    out, home, spec, other = reproduced / "out", reproduced / "home", reproduced / "spec.yaml", tmp_path / "other.yaml"
    again, first, second = tmp_path / "again", tmp_path / "first", tmp_path / "second"
    other.write_text(yaml.safe_dump(yaml.safe_load(spec.read_text()) | {"name": "another"}))
    # Without a worker: nothing of the first is left to be done, and the other waits.
    with System(home, f"sqlite:///{home / 'gauntlet.db'}", broker_url) as system:
        there = ["--url", system.client.url, "--out"]
        reproduce.main([*there, str(again), "--spec", str(spec), "--home", str(home)])
        reproduce.main([*there, str(first), "--spec", str(other), "--now"])
        newest, oldest = system.client.experiments()
        named = ["--experiment", newest.id, "--commit", "abc", "--leave-out", "report.html"]
        reproduce.main([*there, str(second), "--now", *named])
        assert [found.id for found in system.client.experiments()] == [newest.id, oldest.id]
    written = sorted(file.relative_to(out) for file in out.rglob("*") if file.is_file())
    assert sorted(file.relative_to(again) for file in again.rglob("*") if file.is_file()) == written
    for name in written:
        if name.name != "about.json":
            assert (again / name).read_text() == (out / name).read_text(), name
    assert json.loads((again / "about.json").read_text())["experiment"] == oldest.id
    about = json.loads((second / "about.json").read_text())
    assert (about["status"], about["commit"], about["finished_at"]) == ("queued", "abc", None)
    assert "database_bytes" not in about
    assert "this may change" in (second / "report.md").read_text()
    assert list((second / "figures").iterdir()) == []
    forms = {"report.json", "report.md", "report.csv", "report.tex"}
    assert {file.name for file in second.glob("report.*")} == forms
    assert (first / "report.html").exists()


def test_the_spec_is_the_papers_but_for_what_is_told() -> None:
    """Objectives, adversary, optimiser, epochs and selections are the preset's own."""
    spec = ExperimentSpec.model_validate(
        yaml.safe_load((Path(reproduce.__file__).parents[1] / "reproduction/spec.yaml").read_text())
    )
    paper = ExperimentSpec.model_validate(PAPER_SAMPLED)
    changed = {"dataset", "training", "evaluation"}
    assert spec.model_dump(exclude=changed) == paper.model_dump(exclude=changed)
    for part, told in (("training", {"precision", "compile"}), ("evaluation", {"samples"})):
        assert getattr(spec, part).model_dump(exclude=told) == getattr(paper, part).model_dump(exclude=told)
