"""`gauntlet reproduce`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gauntlet.spec.presets import PRESETS
from gauntlet.spec.reproductions import REPRODUCTIONS, Claim, Reproduction
from tests.e2e.system import System


def test_what_can_be_reproduced_is_listed(gauntlet: Any) -> None:
    """With the published numbers, their sources and what it costs; another name is told."""
    told = gauntlet("reproduce").output
    assert "cross-entropy, last: autoattack@8/255" in told
    assert "43.2" in told
    assert all(f"{name}: " in told for name in REPRODUCTIONS)
    assert json.loads(gauntlet("reproduce", "--json").output).keys() == REPRODUCTIONS.keys()
    nothing = gauntlet("reproduce", "quickstart")
    assert (nothing.exit_code, "there is paper, paper_sampled, wong2020, madry, trades" in nothing.output) == (2, True)


def test_its_experiment_is_found_again(gauntlet: Any, system: System) -> None:
    """Called twice it is one; what is not measured is open, and that is no success."""
    first, second = (gauntlet("reproduce", "wong2020", "--now") for _ in range(2))
    (made,) = system.client.experiments(labels=["reproduce"])
    assert (first.exit_code, second.exit_code) == (1, 1)
    assert f"Its experiment is {made.id}, queued." in second.output
    assert "Not as published: " in second.output
    judged = json.loads(gauntlet("reproduce", "wong2020", "--now", "--json").output)
    assert [(each["claim"]["value"], each["verdict"]) for each in judged] == [
        (0.8334, "open"), (0.4321, "open"), (0.4606, "open")
    ]  # fmt: skip


@pytest.fixture
def trained(tmp_path: Path, broker_url: str, monkeypatch: pytest.MonkeyPatch, tiny_document: Any) -> Iterator[System]:
    """A system with a worker, where the quickstart is what trains in seconds."""
    short = {"training": {"epochs": 1}, "evaluation": tiny_document["evaluation"] | {"select": ["last"]}}
    monkeypatch.setitem(PRESETS, "quickstart", tiny_document | short)
    with System(tmp_path, f"sqlite:///{tmp_path / 'gauntlet.db'}", broker_url) as running:
        running.start("worker")
        monkeypatch.setenv("GAUNTLET_URL", running.client.url)
        yield running


def test_its_exit_status_says_whether_all_numbers_came_out(
    gauntlet: Any, trained: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0 where each is within its tolerance; 1 where one is beyond, or is not measured, whatever the others are."""

    def published(accuracy: str, value: float, tolerance: float) -> Claim:
        named: Any = {"objective": "cross_entropy", "selection": "last", "source": "a table"}
        return Claim(accuracy=accuracy, value=value, tolerance=tolerance, **named)

    def reproduced(*claims: Claim, now: bool = True) -> tuple[int, list[str]]:
        monkeypatch.setitem(REPRODUCTIONS, "quickstart", Reproduction(claims=claims, cost="seconds"))
        ended = gauntlet("reproduce", "quickstart", "--json", *(["--now"] if now else []))
        return ended.exit_code, [each["verdict"] for each in json.loads(ended.stdout)]

    assert reproduced(published("natural", 0.5, 1.0), published("fgsm@8/255", 0.5, 1.0), now=False) == (
        0, ["pass", "pass"]
    )  # fmt: skip
    (experiment,) = trained.client.experiments()
    row = next(each for each in trained.client.report(experiment.id).rows if each.selection == "last")
    near, far = (published("natural", row.natural_accuracy + 0.015, tolerance) for tolerance in (0.015, 0.0149))
    absent = published("autoattack@8/255", 0.5, 1.0)
    assert reproduced(near) == (0, ["pass"])
    assert reproduced(near, far) == (1, ["pass", "fail"])
    assert reproduced(near, absent) == (1, ["pass", "open"])
    told = gauntlet("reproduce", "quickstart", "--now")
    assert told.exit_code == 1
    assert [line.split()[-1] for line in told.output.splitlines() if " cross-entropy, last: " in f" {line}"] == [
        "pass", "open"
    ]  # fmt: skip
