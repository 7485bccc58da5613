"""`gauntlet convert`, which needs no service."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.command import run as gauntlet
from tests.gauntlet.examples import network


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A network behind a normalisation, as `nn.DataParallel` leaves it, in a file beside its epoch."""
    held = {f"module.1.{name}": tensor for name, tensor in network().state_dict().items()}
    normalisation = {"module.0.mean": torch.tensor([0.25]), "module.0.std": torch.tensor([0.5])}
    torch.save({"state_dict": normalisation | held, "epoch": 3}, tmp_path / "model.pt")
    return tmp_path / "model.pt"


def test_it_says_what_became_of_the_file_and_how_it_is_imported(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "model.safetensors"
    done = gauntlet("convert", model, "-o", out)
    assert done.exit_code == 0, done.output
    assert "a cnn for 10 classes of images with 1 channel\n" in done.output
    assert "Its tensors are at state_dict." in done.output
    assert "not taken: epoch." in done.output
    assert "Renamed: module.1.0.0.weight to 0.0.weight" in done.output
    assert f"gauntlet import {out} --architecture cnn --dataset DATASET --mean 0.25 --std 0.5" in done.output
    assert out.stat().st_size > 10_000


def test_its_json_has_all_names(model: Path, tmp_path: Path) -> None:
    done = gauntlet(
        "convert", model, "--out", tmp_path / "out", "--architecture", "cnn", "--part", "state_dict", "--json"
    )
    said = json.loads(done.stdout)
    assert said["normalisation"] == {"mean": [0.25], "std": [0.5]}
    assert said["renamed"]["module.1.4.bias"] == "4.bias"
    assert (said["architecture"]["kind"], said["classes"], said["channels"], said["beside"]) == (
        "cnn",
        10,
        1,
        ["epoch"],
    )


class Evil:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


def test_a_file_that_would_run_something_is_refused(tmp_path: Path) -> None:
    """In a sentence, with the status of what failed; nothing is written."""
    torch.save({"state_dict": Evil(tmp_path / "ran")}, tmp_path / "evil.pt")
    done = gauntlet("convert", tmp_path / "evil.pt", "-o", tmp_path / "out")
    assert done.exit_code == 1
    assert "evil.pt holds more than tensors" in done.output
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("architecture", ["resnet", "torchvision/resnet51"])
def test_an_unknown_network_is_a_fault_of_the_command_line(model: Path, tmp_path: Path, architecture: str) -> None:
    done = gauntlet("convert", model, "-o", tmp_path / "out", "--architecture", architecture)
    assert done.exit_code == 2


def test_the_file_itself_is_not_overwritten(model: Path) -> None:
    done = gauntlet("convert", model, "-o", model)
    assert done.exit_code == 1
    assert "is the one to read" in done.output
