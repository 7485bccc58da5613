"""What every command's output has in common."""

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
