"""`gauntlet results`, and the pictures of an evaluation, from a service."""

import json
from pathlib import Path
from typing import Any

from gauntlet.rendering.elsewhere import render_elsewhere
from store.database import Database
from tests.evaluations import elsewhere, imported, queued


def test_a_result_is_brought_shown_and_deleted(gauntlet: Any, tmp_path: Path) -> None:
    """Its id stands alone for a script, and every way of showing it says where it was measured."""
    (tmp_path / "mine.json").write_text(render_elsewhere(elsewhere("from elsewhere"), "json"))
    brought = gauntlet("results", "bring", str(tmp_path / "mine.json"))
    assert brought.exit_code == 0, brought.output
    identifier = brought.stdout.strip()
    assert identifier.startswith("res_")
    assert "Measured elsewhere" in brought.stderr
    listed = gauntlet("results", "list")
    assert identifier in listed.stdout
    assert "fgsm@8/255: 75.0" in listed.stdout
    assert "elsewhere" in listed.stdout
    assert "**Measured elsewhere" in gauntlet("results", "show", identifier).stdout
    assert "measured_elsewhere" in gauntlet("results", "show", identifier, "--format", "csv").stdout
    for way in (("--json",), ("--format", "json")):
        assert json.loads(gauntlet("results", "show", identifier, *way).stdout)["id"] == identifier
    assert gauntlet("results", "delete", identifier).exit_code == 0
    assert gauntlet("results", "show", identifier).exit_code == 1


def test_a_file_that_is_no_result_is_told(gauntlet: Any, tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(render_elsewhere(elsewhere(), "json").replace("0.75", "0.8"))
    refused = gauntlet("results", "bring", str(tmp_path / "mine.json"))
    assert (refused.exit_code, "no whole number of 4 images" in refused.output) == (1, True)
    for content, said in (
        ("[]", "holds no JSON object."),
        ("[" * 100_000, ": The document is nested too deeply."),
        ('{"name": "a", "name": "b"}', "twice"),
    ):
        (tmp_path / "mine.json").write_text(content)
        refused = gauntlet("results", "bring", str(tmp_path / "mine.json"))
        assert (refused.exit_code, said in refused.output) == (1, True), refused.output


def test_an_evaluation_without_pictures_says_how_to_have_them(
    gauntlet: Any, database: Database, tmp_path: Path
) -> None:
    evaluation = queued(database, imported(database, "without pictures"))
    told = gauntlet("pictures", evaluation, str(tmp_path / "kept.npz"))
    assert (told.exit_code, "keeps no pictures; one with `keep_images` does" in told.output) == (1, True)
    assert not (tmp_path / "kept.npz").exists()
