"""What every command's output has in common."""

import json
import os
import subprocess
import sys


def test_letters_that_the_encoding_lacks_are_written_out() -> None:
    """A command ends as it would on any other terminal."""
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "GAUNTLET_URL": "http://127.0.0.1:9/é"}
    found = subprocess.run(
        [sys.executable, "-m", "cli", "settings"], check=False, env=environment, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    assert r"GAUNTLET_URL=http://127.0.0.1:9/\xe9" in found.stdout


def test_json_is_json_in_every_encoding() -> None:
    """What an encoding lacks is written as JSON writes it."""
    url = "http://127.0.0.1:9/\u00e9\U0001f642"
    for encoding in ("ascii", "latin-1", "utf-8"):
        environment = os.environ | {"PYTHONIOENCODING": encoding, "GAUNTLET_URL": url}
        command = [sys.executable, "-m", "cli", "settings", "--json"]
        found = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE, encoding=encoding)
        assert url in {setting["value"] for setting in json.loads(found.stdout)}
