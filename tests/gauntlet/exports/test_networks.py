"""Networks for other runtimes answer as they do here."""

from pathlib import Path

import numpy as np
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn

from gauntlet.errors import NotExportable
from gauntlet.exports.networks import load_program, read_onnx_card, save_onnx, save_program
from gauntlet.models.architectures import build_model, initialise
from gauntlet.models.checkpoints import LoadedModel, build_loaded
from gauntlet.spec.checkpoint_card import CheckpointCard

pytestmark = [pytest.mark.long, pytest.mark.thorough]


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    """The paper's network, with a normalisation before it."""
    card = CheckpointCard.model_validate(
        {
            "architecture": {"kind": "cnn"},
            "dataset": {"name": "digits"},
            "classes": [str(digit) for digit in range(10)],
            "image_shape": [1, 16, 16],
            "normalisation": {"mean": [0.3], "std": [0.2]},
            "origin": {"kind": "imported", "name": "mine"},
        }
    )
    network = build_model(card.architecture, card.image_shape, 10)
    initialise(network, 0)
    return LoadedModel(build_loaded(network.state_dict(), card), card)


def images(count: int) -> Tensor:
    return torch.rand(count, 1, 16, 16, generator=torch.Generator().manual_seed(count))


def test_onnx_answers_as_the_network_does(loaded: LoadedModel, tmp_path: Path) -> None:
    """By the standard's own reference, for one image and for several; and the file says what it is."""
    save_onnx(loaded, tmp_path / "model.onnx")
    reference = ReferenceEvaluator(str(tmp_path / "model.onnx"))
    for count in (1, 5):
        (logits,) = reference.run(["logits"], {"images": images(count).numpy()})
        np.testing.assert_allclose(logits, loaded.model(images(count)).numpy(), atol=1e-5)
    assert read_onnx_card(tmp_path / "model.onnx") == loaded.card


def test_a_program_answers_as_the_network_does(loaded: LoadedModel, tmp_path: Path) -> None:
    """For one image and for several; and the file says what it is."""
    save_program(loaded, tmp_path / "model.pt2")
    program = load_program(tmp_path / "model.pt2")
    for count in (1, 5):
        torch.testing.assert_close(program.model(images(count)), loaded.model(images(count)))
    assert program.card == loaded.card


class Undecided(nn.Module):
    """A network whose way depends on its images' values."""

    def forward(self, batch: Tensor) -> Tensor:
        return batch.mean((2, 3)) if batch.sum() > 1 else batch.amax((2, 3))


def test_a_network_that_cannot_be_written_down_is_refused(loaded: LoadedModel, tmp_path: Path) -> None:
    """In a sentence with torch's reason, and without a file."""
    with pytest.raises(NotExportable, match=r"^The network cannot be written as a torch\.export program: "):
        save_program(LoadedModel(Undecided(), loaded.card), tmp_path / "model.pt2")
    assert not list(tmp_path.iterdir())
