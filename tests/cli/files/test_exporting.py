"""`gauntlet export` and `gauntlet track`, against a service."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from cli.files import exporting
from gauntlet.exports.networks import load_program
from gauntlet.models.checkpoints import load_model
from store.database import Database
from tests.cli.files.test_pictures import checkpoint as untrained
from tests.e2e.system import System
from tests.evaluations import finished, queued

checkpoint = untrained


def test_a_program_answers_as_the_checkpoint_does(
    gauntlet: Any, system: System, checkpoint: str, tmp_path: Path
) -> None:
    """The network that the service holds, in a file of its own."""
    told = gauntlet("export", checkpoint, str(tmp_path / "model.pt2"), "--as", "program")
    assert (told.exit_code, told.output.replace("\n", "")) == (0, str(tmp_path / "model.pt2"))
    (tmp_path / "weights").write_bytes(system.client.weights(checkpoint))
    images = torch.rand(3, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    expected = load_model(tmp_path / "weights", "cpu").model(images)
    torch.testing.assert_close(load_program(tmp_path / "model.pt2").model(images), expected)


def test_a_folder_for_the_hub_says_what_evaluations_found(
    gauntlet: Any, checkpoint: str, database: Database, tmp_path: Path
) -> None:
    """Its weights, and a card with the numbers of those that are done."""
    finished(database, queued(database, checkpoint), natural=3, robust=1)
    told = gauntlet("export", checkpoint, str(tmp_path / "mine"), "--as", "hub", "--name", "mine", "--json")
    assert json.loads(told.output) == {"checkpoint": checkpoint, "form": "hub", "place": str(tmp_path / "mine")}
    files = {path.name for path in (tmp_path / "mine").iterdir()}
    assert files == {"README.md", "config.json", "model.safetensors"}
    assert "| FGSM at ε = 8/255 (L∞) | 25.0 (4.6 to 69.9) | 4 |" in (tmp_path / "mine/README.md").read_text()
    refused = gauntlet("export", checkpoint, str(tmp_path / "entry.json"), "--as", "robustbench")
    assert refused.exit_code == 1
    assert "no evaluation of" in refused.output
    assert not (tmp_path / "entry.json").exists()


def test_a_run_is_tracked_as_far_as_it_has_come(
    gauntlet: Any, system: System, tiny_document: dict[str, Any], tmp_path: Path
) -> None:
    """Its spec before its first epoch; and it must be said where to."""
    (run, *_) = system.client.runs(system.client.submit(tiny_document).id)
    told = gauntlet("track", run.id, "--tensorboard", str(tmp_path / "run"), "--json")
    assert json.loads(told.output) == {"run": run.id, "tensorboard": str(tmp_path / "run")}
    (events,) = (tmp_path / "run").iterdir()
    assert b"policy_gradient" in events.read_bytes() or b"cross_entropy" in events.read_bytes()
    assert gauntlet("track", run.id).exit_code == 2


def test_a_run_is_followed_until_it_has_ended(gauntlet: Any, system: System, tiny_document: dict[str, Any]) -> None:
    """Each epoch once, as it comes, those of the last look too; of a run that is over there is nothing to wait for."""

    class Training:
        """A run that is an epoch further at each look, and ends after three."""

        done = 0

        def run(self, _: str) -> Any:
            self.done = min(self.done + 1, 3)
            return SimpleNamespace(status="succeeded" if self.done == 3 else "running")

        def metrics(self, _: str, *, after: int) -> list[Any]:
            return [SimpleNamespace(epoch=number) for number in range(after + 1, self.done + 1)]

    training: Any = Training()
    waited: list[float] = []
    found = exporting.followed(training, "run_1", follow=True, wait=waited.append)
    assert [each.epoch for each in found] == [1, 2, 3]
    assert len(waited) == 2
    assert [each.epoch for each in exporting.followed(training, "run_1", follow=False, wait=waited.append)] == [1, 2, 3]

    (run, *_) = system.client.runs(system.client.submit(tiny_document).id)
    gauntlet("cancel", run.id)
    with TemporaryDirectory() as folder:
        assert gauntlet("track", run.id, "--tensorboard", folder, "--follow").exit_code == 0


@pytest.mark.parametrize("form", ["program", "hub"])
def test_a_place_that_cannot_be_written_is_told(gauntlet: Any, checkpoint: str, tmp_path: Path, form: str) -> None:
    """In the words that every command has for it."""
    (tmp_path / "file").touch()
    result = gauntlet("export", checkpoint, str(tmp_path / "file/x"), "--as", form)
    assert result.exit_code == 1
    assert result.output.startswith(f"{tmp_path}/file/x")
    assert result.output.strip().endswith(" cannot be read or written: Not a directory.")


@pytest.mark.parametrize("arguments", [["run_1", "x", "--as", "hub"], ["ckpt_1", "x", "--as", "png"]])
def test_what_cannot_be_exported_is_told(gauntlet: Any, arguments: list[str]) -> None:
    """As any mistake on the command line."""
    assert gauntlet("export", *arguments).exit_code == 2
