"""`gauntlet webhooks`."""

import json
from typing import Any


def test_webhooks_are_made_listed_and_deleted(gauntlet: Any) -> None:
    """The secret alone is on the output, for a script to take; what was sent is listed."""
    made = gauntlet("webhooks", "create", "https://hooks.example.org/mine", "--event", "alarm")
    assert "whsec_" in made.output
    (hook,) = json.loads(gauntlet("webhooks", "list", "--json").output)
    assert (hook["url"], hook["events"]) == ("https://hooks.example.org/mine", ["alarm"])
    assert "hooks.example.org" in gauntlet("webhooks", "list").output
    assert json.loads(gauntlet("webhooks", "deliveries", hook["id"], "--json").output) == []
    gauntlet("webhooks", "delete", hook["id"])
    assert json.loads(gauntlet("webhooks", "list", "--json").output) == []
