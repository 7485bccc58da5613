"""`gauntlet submit` before and beside the queue, and lists that are filtered."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.system import System


@pytest.fixture
def spec(tmp_path: Path, tiny_document: dict[str, Any]) -> str:
    """A file with a spec."""
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(tiny_document))
    return str(tmp_path / "spec.yaml")


def test_a_spec_is_looked_at_and_not_queued(gauntlet: Any, system: System, spec: str, tmp_path: Path) -> None:
    """What it would come to on standard output, its faults with their line and exit status 1."""
    before = [experiment.id for experiment in system.client.experiments()]
    told = gauntlet("submit", spec, "--validate")
    assert told.exit_code == 0
    assert "digits: 1,437 training images" in told.output
    assert "Runs: 1." in told.output
    assert "Each is trained on 96 of 1,437 images, and attacked on 16 of 360 test images." in told.output
    whole = gauntlet("submit", "quickstart", "--validate").output
    assert "Each is trained on all 1,437 images, and attacked on 50 of 360 test images." in whole
    found = json.loads(gauntlet("submit", "quickstart", "--validate", "--json").output)
    assert (len(found["runs"]), found["faults"]) == (2, [])
    (tmp_path / "faulty.yaml").write_text("preset: quickstart\ntraining:\n  epochs: 0\n")
    faulty = gauntlet("submit", str(tmp_path / "faulty.yaml"), "--validate")
    assert (faulty.exit_code, "line 3, /training/epochs: This must be at least 1" in faulty.output) == (1, True)
    assert [experiment.id for experiment in system.client.experiments()] == before


def test_an_experiment_is_submitted_like_another(gauntlet: Any, system: System, spec: str, tmp_path: Path) -> None:
    """With the changes of a file, whose faults have their line; or without any. Labels and notes go beside."""
    first = gauntlet("submit", spec, "--label", "a", "--label", "b=1", "--notes", "why").output.strip()
    made = system.client.experiment(first)
    assert (made.labels, made.notes) == (("a", "b=1"), "why")
    shown = gauntlet("show", first).output
    assert re.search(r"labels +a, b=1\n  notes +why\n", shown), shown
    changed = system.client.change_experiment(first, name="other", labels=["c"], notes=None)
    assert (changed.name, changed.labels, changed.notes) == ("other", ("c",), "")
    (tmp_path / "changes.yaml").write_text("name: again\ntraining:\n  epochs: 2\n")
    second = system.client.experiment(
        gauntlet("submit", str(tmp_path / "changes.yaml"), "--like", first).output.strip()
    )
    assert (second.name, second.spec.training.epochs) == ("again", 2)
    assert second.spec.dataset == made.spec.dataset
    told = json.loads(gauntlet("submit", "--like", first, "--json").output)
    assert told["spec"] == made.spec.model_dump(mode="json")
    (tmp_path / "faulty.yaml").write_text("training:\n  epochs: 0\n")
    faulty = gauntlet("submit", str(tmp_path / "faulty.yaml"), "--like", first)
    assert (faulty.exit_code, "faulty.yaml, line 2, /training/epochs: " in faulty.output) == (1, True)
    assert gauntlet("submit").exit_code == 2
    assert gauntlet("submit", "--like", "run_0").exit_code == 2


def test_lists_are_filtered(gauntlet: Any, spec: str) -> None:
    """By what the options name, in their order; a word that there is not is told by its option."""
    made = [gauntlet("submit", spec, "--label", f"filtered{number}").output.strip() for number in range(2)]
    gauntlet("cancel", made[0])

    def listed(*options: str) -> list[str]:
        return [each["id"] for each in json.loads(gauntlet("experiments", "--json", *options).output)]

    assert listed("--label", "filtered0") == [made[0]]
    assert listed("--label", "filtered1", "--status", "queued", "--name", "TINY", "--order", "name") == [made[1]]
    assert listed("--label", "filtered1", "--status", "cancelled") == []
    assert listed("--owner", "nobody") == []
    (run,) = json.loads(gauntlet("runs", made[0], "--status", "cancelled", "--json").output)
    assert run["experiment"] == made[0]
    assert json.loads(gauntlet("evaluations", "--status", "running", "--json").output) == []
    wrong = gauntlet("experiments", "--order", "size")
    assert (wrong.exit_code, wrong.output.startswith("--order: ")) == (1, True)


def test_a_single_filter_needs_no_list(gauntlet: Any, system: System, spec: str) -> None:
    """What the client takes several of, it takes one of as it is; a string was as many filters as it has letters."""
    made = gauntlet("submit", spec, "--label", "alone").output.strip()
    found = system.client.experiments(status="queued", labels="alone")
    assert [experiment.id for experiment in found] == [made]
    (run,) = system.client.runs(made)
    assert run.id in {queued.id for queued in system.client.runs(status="queued")}
    assert {evaluation.status for evaluation in system.client.evaluations(status="queued")} <= {"queued"}
    assert {event.type for event in system.client.events(made, types="status")} == {"status"}
