"""`gauntlet classify`, and the pictures of evaluations, against a service that computes."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from safetensors.torch import save

from gauntlet.client import Refused
from gauntlet.data.datasets import load_split
from gauntlet.models.architectures import build_model, initialise
from gauntlet.spec.kinds import Digits
from gauntlet.spec.runs.architectures import Cnn
from store.database import Database
from tests.e2e.system import System
from tests.evaluations import finished, imported, queued


@pytest.fixture(scope="module")
def checkpoint(system: System, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The paper's CNN for digits with the weights that training begins with."""
    network = build_model(Cnn(), (1, 16, 16), 10)
    initialise(network, 0)
    file = tmp_path_factory.mktemp("weights") / "first.safetensors"
    file.write_bytes(save({name: tensor.contiguous() for name, tensor in network.state_dict().items()}))
    card = {"name": "first", "architecture": {"kind": "cnn"}, "dataset": {"name": "digits"}}
    return system.client.import_checkpoint(file, card).id


@pytest.fixture
def digit(tmp_path: Path) -> Path:
    """A held-out digit's file."""
    file = tmp_path / "digit.png"
    Image.fromarray(load_split(Digits(), "test", tmp_path)[0].images[5, 0].numpy()).save(file)
    return file


def test_a_picture_is_classified_and_attacked(gauntlet: Any, checkpoint: str, digit: Path, tmp_path: Path) -> None:
    """A line for what it is taken for and one for what each budget leaves; the pictures lie in the folder."""
    attack = ["--attack", "pgd", "--eps", "128/255", "--eps", "8/255", "--steps", "3", "--loss", "margin"]
    command = ["classify", str(digit), str(digit), "--checkpoint", checkpoint]
    told = gauntlet(*command, *attack, "--pictures", str(tmp_path / "out"))
    assert told.exit_code == 0, told.output
    assert "PGD" in told.output
    assert told.output.count("128/255: ") == 2
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        f"{number}-digit-{checkpoint}-{name}.png" for number in ("01", "02") for name in ("128_255", "8_255", "natural")
    ]
    with (
        Image.open(tmp_path / "out" / f"01-digit-{checkpoint}-natural.png") as natural,
        Image.open(digit) as original,
    ):
        assert natural.tobytes() == original.tobytes()
    seen = json.loads(gauntlet(*command[:-2], "--checkpoint", checkpoint, *attack, "--json").output)
    assert [budget["eps"] for budget in seen[0]["attack"]["budgets"]] == ["8/255", "128/255"]
    assert "attack" not in gauntlet(*command).output


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--eps", "8/255"], 2, "need an --attack"),
        (["--attack", "pgd"], 1, "--eps: "),
        (["--attack", "apgd-t", "--eps", "8/255"], 1, "--attack: "),
        (["--attack", "fgsm", "--eps", "8/255", "--label", "eleven"], 1, "--label: "),
    ],
)
def test_a_wrong_attack_is_told_by_its_option(
    gauntlet: Any, checkpoint: str, digit: Path, options: list[str], status: int, said: str
) -> None:
    """What the command line lacks ends with 2, what the service refuses with 1."""
    result = gauntlet("classify", str(digit), "--checkpoint", checkpoint, *options)
    assert result.exit_code == status, result.output
    assert said in " ".join(result.output.replace("│", " ").split())


def test_a_test_image_of_an_evaluation_is_a_picture(system: System, database: Database, tmp_path: Path) -> None:
    """As its model saw it; of a position that was not attacked there is none."""
    labels = load_split(Digits(), "test", tmp_path)[0].labels.tolist()
    # The stored results are of images whose class is their position modulo ten.
    position = next(at for at, label in enumerate(labels) if label == at % 10)
    evaluation = queued(database, imported(database, "seen"), samples=position + 1, batch_size=position + 1)
    finished(database, evaluation, natural=1, robust=0)
    with Image.open(io.BytesIO(system.client.image(evaluation, position))) as picture:
        assert (picture.format, picture.size) == ("PNG", (16, 16))
    with pytest.raises(Refused, match="has not looked at"):
        system.client.image(evaluation, position + 1)
