"""`gauntlet change` and what every command has in common."""

import json
from collections.abc import Iterator
from typing import Any

from cli.commands import app
from store.database import Database
from tests.command import whole
from tests.e2e.system import System
from tests.evaluations import finished, imported, queued


def commands(group: Any, path: str = "gauntlet") -> Iterator[tuple[str, Any]]:
    """Every command with the words that call it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def test_every_command_writes_json() -> None:
    """`--json` is an option of all of them."""
    found = dict(commands(whole(app)))
    assert len(found) > 40
    without = [name for name, each in found.items() if not any("--json" in option.opts for option in each.params)]
    assert without == []


def test_what_stands_beside_a_spec_is_changed(
    gauntlet: Any, system: System, database: Database, tiny_document: dict[str, Any]
) -> None:
    """What is named changes, an empty text takes it away, and the rest stays."""
    spec = tiny_document | {"labels": ["a"], "notes": "why"}
    experiment = system.client.submit(spec).id
    options = ["--name", "other", "--label", "b", "--label", "c", "--keep-every", "5", "--keep-best", "2"]
    assert gauntlet("change", experiment, *options).output == f"{experiment}: changed\n"
    changed = system.client.experiment(experiment)
    assert (changed.name, changed.labels, changed.notes) == ("other", ("b", "c"), "why")
    assert changed.keep is not None
    assert (changed.keep.every, changed.keep.best, changed.keep.last) == (5, 2, 1)
    again = ["change", experiment, "--name", "", "--label", "", "--notes", "", "--keep-all", "--json"]
    shown = json.loads(gauntlet(*again).output)
    assert [shown[field] for field in ("name", "labels", "notes", "keep")] == ["tiny", [], "", None]
    checkpoint = imported(database, "theirs")
    assert json.loads(gauntlet("change", checkpoint, "--notes", "ours", "--json").output)["notes"] == "ours"
    refused = gauntlet("change", checkpoint, "--name", "mine")
    assert (refused.exit_code, "--name: " in refused.output) == (1, True)
    assert gauntlet("change", experiment).exit_code == 2
    assert gauntlet("change", experiment, "--keep-all", "--keep-last", "2").exit_code == 2
    assert "can be changed" in gauntlet("change", "run_0", "--notes", "x").output


def test_work_is_asked_for_and_followed_as_json(gauntlet: Any, system: System, database: Database) -> None:
    """A priority beside the request; of what is watched the values once it has ended; the series of all runs."""
    experiment = json.loads(gauntlet("submit", "quickstart", "--priority", "low", "--json").output)
    assert experiment["priority"] == "low"
    series = system.client.series(experiment["id"], ["test_accuracy"])
    assert [(run.objective, run.epochs) for run in series.runs] == [("cross_entropy", ()), ("policy_gradient", ())]
    file = system.home / "checkpoints" / "asked"
    file.parent.mkdir(exist_ok=True)
    file.touch()
    checkpoint = imported(database, "asked", path="asked")
    asked = ["evaluate", checkpoint, "--attack", "fgsm", "--eps", "8/255", "--priority", "high", "--json"]
    (evaluation,) = json.loads(gauntlet(*asked).output)
    assert (evaluation["priority"], evaluation["status"]) == ("high", "queued")
    ended = queued(database, checkpoint)
    finished(database, ended, natural=4, robust=1)
    watched = gauntlet("watch", ended, "--json")
    assert json.loads(watched.stdout)[0]["status"] == "succeeded"
    assert json.loads(gauntlet("report", experiment["id"], "--json").output)["experiment"] == experiment["id"]
    assert "GAUNTLET_PORT" in {each["variable"] for each in json.loads(gauntlet("settings", "--json").output)}
