"""`gauntlet check`: everything that is wrong with a spec, told without a service."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from typer.testing import Result

from gauntlet.checks.machine import this_machine
from gauntlet.resources import Check
from gauntlet.spec.checkpoint_card import CheckpointCard, Imported
from gauntlet.spec.kinds import Digits
from gauntlet.spec.runs.architectures import Cnn
from store.database import Database
from store.storage import StoredFile
from store.subjects import checkpoints
from tests import command


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command on a spec, on a home and a data root of its own, with nothing that answers at any address."""
    monkeypatch.setenv("GAUNTLET_HOME", str(tmp_path))
    monkeypatch.setenv("GAUNTLET_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("COLUMNS", "60")

    def run(document: dict[str, Any], *arguments: str) -> Result:
        (tmp_path / "spec.yaml").write_text(yaml.safe_dump(document))
        return command.run("check", tmp_path / "spec.yaml", *arguments)

    return run


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """One image of each of two classes in each split, below a data root that is not the default."""
    root = tmp_path / "elsewhere" / "pets"
    for level, path in enumerate(("train/cat", "train/dog", "test/cat", "test/dog")):
        (root / path).mkdir(parents=True)
        Image.new("L", (10, 10), level).save(root / path / "0.png")
    return root


def test_a_sound_spec_is_told_what_was_read(check: Any, tiny_document: dict[str, Any]) -> None:
    """Exit status 0, images and classes of each split, and what is not quite as asked."""
    tiny_document["evaluation"]["samples"] = 10_000
    result = check(tiny_document)
    assert result.exit_code == 0
    assert "digits: 1,437 training images of 10 classes (0: 139, 1: 145," in result.stdout
    assert "96 of the training images are drawn." in result.stdout
    assert "evaluation.samples asks for 10,000 images, and there are 360 test images" in result.stdout
    assert result.stdout.endswith("Nothing is wrong with it.\n")


def test_all_faults_are_told_at_their_fields(
    check: Any, tiny_document: dict[str, Any], pets: Path, tmp_path: Path
) -> None:
    """Damaged pictures are opened too; the exit status is 1, and nothing is cut at 60 columns."""
    (pets / "train/cat/0.png").write_bytes(b"no picture")
    (pets / "train/dog/._0.png").touch()
    (pets / "test/dog").rename(pets / "test/eel")
    tiny_document["dataset"] = {"name": "image_folder", "folder": "pets", "image_size": 10, "train_samples": 5}
    tiny_document["evaluation"]["attacks"] = [{"kind": "autoattack", "eps": "8/255"}]
    result = check(tiny_document, "--data-root", str(tmp_path / "elsewhere"))
    assert result.exit_code == 1
    for told in (
        "/dataset/folder: The classes of pets/train and of pets/test differ: only",
        "/dataset/folder: 1 of the training images cannot be read: train/cat/0.png (",
        "/dataset/train_samples: train_samples asks for 5 images, and there are 2 training images",
        "/evaluation/attacks/0: autoattack@8/255 needs at least 4 classes, and here are 2. Its version few is",
        "Passed over among the training images: 1 hidden (dog/._0.png).",
    ):
        assert told in result.stdout
    assert "Nothing is wrong" not in result.stdout


def test_a_program_reads_it_as_json(check: Any, tiny_document: dict[str, Any]) -> None:
    """The same values that the service has for it."""
    found = Check.model_validate_json(check(tiny_document | {"seeds": [0, 1]}, "--json").stdout)
    assert (found.faults, found.dataset is not None) == ((), True)
    tiny_document["dataset"]["train_samples"] = 2_000
    if this_machine().gpu is False:
        tiny_document["training"]["precision"] = "tf32"
    result = check(tiny_document, "--json")
    assert result.exit_code == 1
    pointers = [fault["pointer"] for fault in json.loads(result.stdout)["faults"]]
    assert pointers == ["/dataset/train_samples", *(["/training/precision"] if this_machine().gpu is False else [])]


def test_a_spec_that_is_none_is_told_without_looking_at_data(check: Any, tiny_document: dict[str, Any]) -> None:
    """Its own faults come first."""
    result = check(tiny_document | {"seeds": [-1], "colour": "red"}, "--json")
    assert result.exit_code == 1
    found = Check.model_validate_json(result.stdout)
    assert ({fault.pointer for fault in found.faults}, found.dataset) == ({"/colour", "/seeds/0"}, None)


def test_checkpoints_are_looked_up_where_the_database_is(
    check: Any, tiny_document: dict[str, Any], tmp_path: Path, sqlite_url: str
) -> None:
    """Without one it says that it did not, and makes none."""
    tiny_document["training"]["initial_checkpoint"] = "ckpt_1"
    (tmp_path / "gauntlet.db").rename(tmp_path / "away.db")
    unseen = check(tiny_document)
    assert unseen.exit_code == 0
    assert "The checkpoint ckpt_1 was not looked up" in unseen.stdout
    assert not (tmp_path / "gauntlet.db").exists()
    (tmp_path / "away.db").rename(tmp_path / "gauntlet.db")
    missing = check(tiny_document)
    assert (missing.exit_code, "There is no checkpoint with the id 'ckpt_1'" in missing.stdout) == (1, True)
    card = CheckpointCard(
        architecture=Cnn(),
        dataset=Digits(),
        classes=tuple("abcdefghij"),
        image_shape=(1, 16, 16),
        origin=Imported(name="x"),
    )
    database = Database(sqlite_url)
    with database.writing() as session:
        checkpoints.add_imported(session, "ckpt_1", card, StoredFile("path", "0" * 64, 1))
    database.close()
    other = check(tiny_document)
    assert (other.exit_code, "only the initial checkpoint has a, b, c, d, e and 5 more" in other.stdout) == (1, True)
