"""`gauntlet reproduce`."""

import json
from typing import Any

from gauntlet.spec.reproductions import REPRODUCTIONS
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
