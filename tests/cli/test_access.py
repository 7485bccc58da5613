"""`gauntlet whoami` and `gauntlet audit` before a service that asks for no login."""

import json
from typing import Any

from cli.access import audit_listing
from cli.shown.listings import print_listing
from gauntlet.resources import AuditEntry
from tests.cli.conftest import screen, written
from tests.e2e.system import System


def test_one_is_told_who_one_is(gauntlet: Any) -> None:
    """Without a login nobody, who may do everything."""
    shown = gauntlet("whoami").output.splitlines()
    assert shown[0] == "nobody"
    assert "The service wants none: everybody may do everything." in shown[-1]
    assert json.loads(gauntlet("whoami", "--json").output)["scope"] == "admin"


def test_the_audit_list_is_shown(gauntlet: Any, system: System) -> None:
    """The newest first, as many as are asked for; on a narrow screen a card each."""
    experiment = system.client.submit({"preset": "quickstart"})
    system.client.cancel_experiment(experiment.id)
    shown = gauntlet("audit", "--last", "2", "--within", "1h").output.splitlines()
    assert [line.split("  ")[-1].strip() for line in shown] == ["outcome", "done", "done"]
    assert "POST /v1/experiments/{experiment_id}/cancel" in shown[1]
    assert experiment.id in shown[2]
    listed = json.loads(gauntlet("audit", "--last", "1", "--json").output)
    assert [entry["subject"] for entry in listed] == [experiment.id]
    assert len(gauntlet("audit", "--owner", "eve").output.splitlines()) == 1
    assert gauntlet("audit", "--within", "soon").exit_code == 2
    narrow = screen(40)
    print_listing(audit_listing([AuditEntry.model_validate(listed[0])]), narrow)
    assert experiment.id in written(narrow)
    assert max(map(len, written(narrow).splitlines())) <= 40
