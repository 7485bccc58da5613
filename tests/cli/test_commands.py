"""The `gauntlet` command against a running service without a worker."""

import json
import os
import pty
import re
import subprocess
import sys
import termios
from contextlib import suppress
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
from gauntlet.spec.runs.architectures import Cnn
from tests.e2e.system import System
from tests.gauntlet.client.test_http import Answer, answering
from tests.packing import two_splits, write_zip


def test_a_command_starts_with_little() -> None:
    """What the machine's own commands need, the database's library above all, is two fifths of what loads otherwise."""
    code = "import sys, cli.commands; print({'sqlalchemy', 'celery', 'numpy', 'PIL', 'torch'} & sys.modules.keys())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told == "set()\n"


def test_a_file_is_submitted_listed_and_cancelled(
    gauntlet: Any, system: System, tmp_path: Path, tiny_document: dict[str, Any]
) -> None:
    """YAML and JSON both work, and ids are printed whole even on a narrow terminal."""
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(tiny_document))
    (tmp_path / "spec.json").write_text(json.dumps(tiny_document))
    submitted = [gauntlet("submit", str(tmp_path / name)).output.strip() for name in ("spec.yaml", "spec.json")]
    assert submitted == [experiment.id for experiment in system.client.experiments()][1::-1]
    listed = gauntlet("experiments").output
    assert all(identifier in listed for identifier in submitted)
    (run,) = system.client.runs(submitted[0])
    assert run.id in gauntlet("runs", submitted[0]).output
    assert gauntlet("pause", submitted[0]).output == f"{submitted[0]}: paused\n"
    assert json.loads(gauntlet("resume", submitted[0], "--json").output)["status"] == "queued"
    assert gauntlet("pause", run.id).output == f"{run.id}: paused\n"
    assert "cancelled" in gauntlet("cancel", run.id).output
    assert gauntlet("retry", run.id).output.strip() == system.client.run(run.id).retried_by
    gauntlet("cancel", submitted[0])
    assert gauntlet("retry", submitted[1]).exit_code == 1
    assert json.loads(gauntlet("log", run.id, "--json").output) == {"id": run.id, "lines": []}
    assert gauntlet("log", run.id, "--follow").exit_code == 0
    assert (gauntlet("log", run.id).output, gauntlet("log", submitted[0]).exit_code) == ("", 1)
    assert gauntlet("delete", submitted[0]).output == f"{submitted[0]}: deleted\n"
    assert "There is no experiment" in gauntlet("delete", submitted[0]).output
    assert gauntlet("priority", submitted[1], "low").output == f"{submitted[1]}: low\n"
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
        (["cancel", "run_none"], "There is no run"),
    ],
)
def test_a_mistake_is_answered_in_a_sentence(gauntlet: Any, arguments: list[str], said: str) -> None:
    """Exit status 1, one message, no traceback."""
    result = gauntlet(*arguments)
    assert result.exit_code == 1
    assert said in result.output
    assert "Traceback" not in result.output


def weights() -> bytes:
    """Those of a network for digits that answers everything alike."""
    network = build_model(Cnn(), (1, 16, 16), 10)
    return save({name: torch.zeros_like(tensor).contiguous() for name, tensor in network.state_dict().items()})


def test_weights_are_imported(gauntlet: Any, system: System, tmp_path: Path) -> None:
    """By options or by a card; options win, and what looks wrong is told beside the id."""
    file, card = tmp_path / "reader.safetensors", tmp_path / "card.yaml"
    file.write_bytes(weights())
    card.write_text("{name: theirs, source: a book, architecture: {kind: cnn}, dataset: {name: digits}}")
    by_options = gauntlet("import", str(file), "--architecture", "cnn", "--dataset", "digits")
    by_card = gauntlet("import", str(file), "--card", str(card), "--name", "mine")
    for result in (by_options, by_card):
        assert result.exit_code == 0, result.output
        assert "does not depend on its input" in " ".join(result.output.split())
    mine, reader, *_ = system.client.checkpoints()
    assert (mine.name, reader.name) == ("mine", "reader")
    assert mine.id in by_card.output
    assert mine.card.origin == Imported(name="mine", source="a book")
    refused = gauntlet("import", str(file), "--architecture", "resnet18", "--dataset", "digits")
    assert (refused.exit_code, f"{file}: " in refused.output) == (1, True)


def test_a_files_name_need_not_be_utf8(gauntlet: Any, system: System, tmp_path: Path) -> None:
    """What a model or a data set is called by default is text all the same."""
    file, archive = (tmp_path / os.fsdecode(name) for name in (b"caf\xe9.safetensors", b"caf\xe9.zip"))
    file.write_bytes(weights())
    write_zip(archive, two_splits())
    imported = gauntlet("import", str(file), "--architecture", "cnn", "--dataset", "digits")
    uploaded = gauntlet("datasets", "upload", str(archive), "--no-wait")
    assert (imported.exit_code, uploaded.exit_code) == (0, 0), imported.output + uploaded.output
    assert next(iter(system.client.checkpoints())).name == "caf?"
    assert next(iter(system.client.datasets())).name == "caf?"
    system.client.delete_dataset(uploaded.stdout.strip())


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
def test_a_fault_of_a_file_is_told_with_its_line(
    gauntlet: Any, system: System, tmp_path: Path, written: str, said: str | None
) -> None:
    """Whether the command finds it or the service: the file, the line, the field, one sentence; nothing is queued."""
    file = tmp_path / "spec.yaml"
    file.write_text(written)
    before = list(system.client.experiments())
    result = gauntlet("submit", str(file))
    if said is None:
        assert result.exit_code == 0
        return
    assert result.exit_code == 1
    assert f"{file}, " in result.output
    assert said in result.output
    assert list(system.client.experiments()) == before


def test_a_fault_of_a_card_is_told_with_its_line(gauntlet: Any, tmp_path: Path) -> None:
    """What an option says is in no file."""
    weights, card = tmp_path / "w.safetensors", tmp_path / "card.yaml"
    weights.write_bytes(b"x")
    card.write_text("name: x\narchitecture: {kind: vgg}\ndataset: {name: digits}\nsource: 2024-05-01\n")
    assert f"{card}, line 2, /architecture: There is no kind" in gauntlet("import", str(weights), "--card", card).output
    refused = gauntlet("import", str(weights), "--card", str(card), "--architecture", "cnn").output
    assert f"{weights}: The file is too short" in refused
    assert str(card) not in refused


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["report", "exp_none", "--format", "xml"], "table, md, json, html, csv or tex"),
        (["report", "run_01jz"], "run_01jz is the id of a run; that of an experiment is needed here."),
        (["weights", "exp_01jz", "file"], "exp_01jz is the id of an experiment; that of a checkpoint is needed here."),
        (["transfer", "ckpt_1", "eval_1"], "eval_1 is the id of an evaluation"),
        (["show", "quickstart"], "quickstart is no id: ids begin with exp_, run_, eval_, ckpt_, dset_, local_."),
        (["watch", "run_01jz"], "One experiment can be watched, or any evaluations."),
        (["watch", "exp_01jz", "exp_02jz"], "One experiment can be watched"),
        (["classify", "missing.png", "--checkpoint", "ckpt_1"], "missing.png"),
        (["frobnicate"], "frobnicate"),
    ],
)
def test_a_wrong_command_line_ends_with_2(gauntlet: Any, arguments: list[str], said: str) -> None:
    """Nothing is asked of the service; what is wrong is said."""
    result = gauntlet(*arguments)
    assert result.exit_code == 2
    assert said in " ".join(result.output.replace("│", " ").split())


def test_without_a_service_the_command_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The address it tried is in the message, and the exit status is one of its own."""
    monkeypatch.setenv("GAUNTLET_URL", "http://127.0.0.1:9")
    result = CliRunner().invoke(app, ["runs"])
    assert result.exit_code == 3
    assert "http://127.0.0.1:9" in result.output
    assert "gauntlet up" in result.output


def test_a_service_of_another_kind_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page where an answer of ours should be: one sentence, no traceback."""
    with answering(Answer(body=b"<!doctype html>")) as (url, _):
        monkeypatch.setenv("GAUNTLET_URL", url)
        result = CliRunner().invoke(app, ["experiments"])
    assert result.exit_code == 3
    assert f"{url} answers, but not as a Gauntlet" in result.output
    assert len(result.output.splitlines()) == 1


def test_lists_are_json_for_scripts(gauntlet: Any, system: System, tiny_document: dict[str, Any]) -> None:
    """The service's own values: the last experiment and its runs."""
    experiment = system.client.submit(tiny_document | {"seeds": [1, 2]})
    assert json.loads(gauntlet("experiments", "--json").output)[0]["id"] == experiment.id
    runs = json.loads(gauntlet("runs", experiment.id, "--json").output)
    assert [(run["experiment"], run["seed"]) for run in runs] == [(experiment.id, 2), (experiment.id, 1)]
    assert json.loads(gauntlet("checkpoints", runs[0]["id"], "--json").output) == []
    assert json.loads(gauntlet("leaderboard", "--json").output)["object"] == "leaderboard"


def test_the_screen_is_used_as_wide_as_it_is(system: System, tiny_document: dict[str, Any]) -> None:
    """A real terminal of 60 columns: ids are whole, lines fit; and a name with control characters does no harm."""
    experiment = system.client.submit(tiny_document | {"name": "a long name that \u202ehas to be wrapped somewhere"})
    listed = on_terminal(60, "experiments", GAUNTLET_URL=system.client.url).splitlines()
    start = next(at for at, line in enumerate(listed) if line.strip() == experiment.id)
    assert [line.strip() for line in listed[start + 1 : start + 3]] == [
        "name     a long name that \\u202ehas to be wrapped",
        "somewhere",
    ]


def on_terminal(width: int, *arguments: str, **environment: str) -> str:
    """What the command writes on a terminal of that width, without its colours."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, width))
    surroundings = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "NO_COLOR"}}
    command = subprocess.Popen(
        [sys.executable, "-m", "cli", *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=surroundings | {"TERM": "xterm"} | environment,
    )
    os.close(theirs)
    parts: list[bytes] = []
    # At its end Linux reads an error from a terminal whose other side is closed.
    with suppress(OSError):
        while part := os.read(ours, 65_536):
            parts.append(part)
    os.close(ours)
    assert command.wait(90) == 0
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", b"".join(parts).decode())
