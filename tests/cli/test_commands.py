"""The `gauntlet` command against a running service without a worker."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save
from typer.testing import CliRunner

from cli.commands import app
from gauntlet.models.architectures import build_model
from gauntlet.spec.checkpoint_card import Imported
from gauntlet.spec.kinds import Cnn
from tests.e2e.system import System


def test_a_file_is_submitted_listed_and_cancelled(
    gauntlet: Any, system: System, tmp_path: Path, tiny_document: dict[str, Any]
) -> None:
    """YAML and JSON both work, and ids are printed whole even on a narrow terminal."""
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(tiny_document))
    (tmp_path / "spec.json").write_text(json.dumps(tiny_document))
    submitted = [gauntlet("submit", str(tmp_path / name)).output.strip() for name in ("spec.yaml", "spec.json")]
    assert submitted == [experiment.id for experiment in system.client.experiments()][::-1]
    listed = gauntlet("experiments").output
    assert all(identifier in listed for identifier in submitted)
    (run,) = system.client.runs(submitted[0])
    assert run.id in gauntlet("runs", submitted[0]).output
    assert "cancelled" in gauntlet("cancel", run.id).output
    assert "cancelled" in gauntlet("cancel", submitted[1]).output


def test_a_preset_is_submitted_by_its_name(gauntlet: Any, system: System) -> None:
    """`gauntlet submit quickstart` needs no file."""
    identifier = gauntlet("submit", "quickstart").output.strip()
    assert system.client.experiment(identifier).name == "quickstart"


def test_a_report_has_six_forms(gauntlet: Any, tmp_path: Path, tiny_document: dict[str, Any]) -> None:
    """A table for the eye, Markdown and LaTeX for a text, HTML for a browser, JSON and CSV for a program."""
    (tmp_path / "spec.json").write_text(json.dumps(tiny_document))
    identifier = gauntlet("submit", str(tmp_path / "spec.json")).output.strip()
    assert "is queued" in gauntlet("report", identifier).output
    assert gauntlet("report", identifier, "--format", "md").output.startswith("# tiny\n")
    assert json.loads(gauntlet("report", identifier, "--format", "json").output)["experiment"] == identifier
    for form, told in (("html", "<!doctype html>"), ("csv", "experiment,run,"), ("tex", r"\paragraph{tiny.}")):
        assert told in gauntlet("report", identifier, "--format", form).output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["submit", "no-such-preset"], "There is no preset no-such-preset"),
        (["submit", "missing.yaml"], "missing.yaml cannot be read: No such file or directory."),
        (["report", "exp/none"], "is no id"),
        (["report", "exp_none"], "There is no experiment"),
        (["report", "exp_none", "--format", "xml"], "table, md, json, html, csv or tex"),
        (["cancel", "run_none"], "There is no run"),
    ],
)
def test_a_mistake_is_answered_in_a_sentence(gauntlet: Any, arguments: list[str], said: str) -> None:
    """Exit status 1, one message, no traceback."""
    result = gauntlet(*arguments)
    assert result.exit_code == 1
    assert said in result.output
    assert "Traceback" not in result.output


def test_weights_are_imported(gauntlet: Any, system: System, tmp_path: Path) -> None:
    """By options or by a card; options win, and what looks wrong is told beside the id."""
    network = build_model(Cnn(), (1, 16, 16), 10)
    file, card = tmp_path / "reader.safetensors", tmp_path / "card.yaml"
    file.write_bytes(
        save({name: torch.zeros_like(tensor).contiguous() for name, tensor in network.state_dict().items()})
    )
    card.write_text("{name: theirs, source: a book, architecture: {kind: cnn}, dataset: {name: digits}}")
    by_options = gauntlet("import", str(file), "--architecture", "cnn", "--dataset", "digits")
    by_card = gauntlet("import", str(file), "--card", str(card), "--name", "mine")
    for result in (by_options, by_card):
        assert result.exit_code == 0, result.output
        assert "does not depend on its input" in " ".join(result.output.split())
    mine, reader = system.client.checkpoints()
    assert (mine.name, reader.name) == ("mine", "reader")
    assert mine.id in by_card.output
    assert mine.card.origin == Imported(name="mine", source="a book")
    refused = gauntlet("import", str(file), "--architecture", "resnet18", "--dataset", "digits")
    assert (refused.exit_code, "/weights" in refused.output) == (1, True)


def test_a_name_is_text_and_no_markup(gauntlet: Any, tmp_path: Path, tiny_document: dict[str, Any]) -> None:
    """A name in brackets is shown as it is."""
    (tmp_path / "spec.json").write_text(json.dumps(tiny_document | {"name": "[/x]"}))
    identifier = gauntlet("submit", str(tmp_path / "spec.json")).output.strip()
    assert "[/x]" in gauntlet("experiments").output
    assert "[/x]" in gauntlet("report", identifier).output


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (
            "preset: quickstart\ntraining: {optimizer: {lr: .nan}}\n",
            "/training/optimizer/lr: .nan is nothing that a field",
        ),
        ("preset: quickstart\nseeds: [0]\nseeds: [1]\n", "/seeds: The field is given twice, in lines 2 and 3."),
        ("preset: quickstart\n\nadversary:\n  eps: 8\n", "line 4, /adversary/eps: eps must lie in [0, 1]"),
        ("preset: quickstart\nseeds: [false]\n", "line 2, /seeds/0: This must be a whole number, not false."),
        ("preset: quickstart\n2026-10-18: 1\n", "line 2, /2026-10-18: There is no such field"),
        ("preset: quickstart\n", None),
    ],
)
def test_a_fault_of_a_file_is_told_with_its_line(gauntlet: Any, tmp_path: Path, written: str, said: str | None) -> None:
    """Whether the command finds it or the service: the file, the line, the field, one sentence; nothing is queued."""
    file = tmp_path / "spec.yaml"
    file.write_text(written)
    result = gauntlet("submit", str(file))
    if said is None:
        assert result.exit_code == 0
        return
    assert result.exit_code == 1
    assert f"{file}, " in result.output
    assert said in result.output
    assert gauntlet("experiments").output.count("exp_") == 0


def test_a_fault_of_a_card_is_told_with_its_line(gauntlet: Any, tmp_path: Path) -> None:
    """What an option says is in no file."""
    weights, card = tmp_path / "w.safetensors", tmp_path / "card.yaml"
    weights.write_bytes(b"x")
    card.write_text("name: x\narchitecture: {kind: vgg}\ndataset: {name: digits}\nsource: 2024-05-01\n")
    assert f"{card}, line 2, /architecture: There is no kind" in gauntlet("import", str(weights), "--card", card).output
    refused = gauntlet("import", str(weights), "--card", str(card), "--architecture", "cnn").output
    assert "/weights: " in refused
    assert str(card) not in refused


def test_without_a_service_the_command_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address it tried is in the message."""
    monkeypatch.setenv("GAUNTLET_URL", "http://127.0.0.1:9")
    result = CliRunner().invoke(app, ["runs"])
    assert result.exit_code == 1
    assert "http://127.0.0.1:9" in result.output
    assert "gauntlet up" in result.output
